"""Times and ids as text."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE


def micros(time: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_text(micros: int) -> str:
    """RFC 3339 in UTC with microseconds. Raises OverflowError outside the years 1 to 9999."""
    hours, rest = divmod(micros, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds, rest = divmod(rest, _SECOND)
    return f"{_hour_text(hours)}:{minutes:02}:{seconds:02}.{rest:06}Z"


def id_text(id_: bytes) -> str:
    """Sixteen bytes in UUID notation. `uuid.UUID` takes five times as long, and a journey shows dozens."""
    digits = id_.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(maxsize=4096)
def _hour_text(hours: int) -> str:
    """Cached: a journey shows dozens of times within few hours."""
    return (_EPOCH + timedelta(hours=hours)).isoformat(timespec="hours").removesuffix("+00:00")
