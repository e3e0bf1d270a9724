"""Ids as text."""


def id_text(id_: bytes) -> str:
    """Sixteen bytes as people write a UUID. A journey shows dozens: `uuid.UUID` takes five times as long."""
    digits = id_.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
