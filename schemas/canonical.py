"""The canonical form of a body: different encodings of the same JSON have the same canonical bytes."""

from hashlib import blake2b
from struct import Struct

import orjson

_signed = Struct(">q")


def canonical(value: bytes) -> bytes:
    """A decoded event's body with sorted keys and no spaces. `value` must be JSON that `decode` accepted."""
    return orjson.dumps(orjson.loads(value), option=orjson.OPT_SORT_KEYS)


def body_hash(value: bytes) -> int:
    """A signed 64-bit digest of the bytes. Equal hashes mean equal bodies; for different ones compare `canonical`."""
    digest: int = _signed.unpack(blake2b(value, digest_size=8).digest())[0]
    return digest
