"""Times on the wire: RFC 3339 with an offset, to integer microseconds since 1970 UTC."""

import re
from datetime import UTC, datetime

from schemas.rejection import Rejection

#: Events outside are refused: an event of the year 9999 would stay a journey's newest one for ever.
EARLIEST = 0
LATEST = 4_102_444_800_000_000  #: 2100-01-01T00:00:00Z, exclusive

DAY = 86_400_000_000  #: microseconds
BEGINNING, NEVER = -(2**62), 2**62  #: before all times, and after them

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_TAILS = frozenset({"Z", "+00:00"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str, field: str) -> int:
    """Microseconds since 1970 UTC. Raises Rejection `naive_time`, `time_out_of_range` or `invalid_value`.

    At most six fractional digits are allowed: a seventh would be silently lost.
    """
    if text[4:17:3] != "--T::" or text[19:] not in _TAILS:
        _check_form(text, field)
    try:
        passed = datetime.fromisoformat(text) - _EPOCH
    except ValueError as error:
        raise Rejection("invalid_value", field, f"no such time: {error}") from error
    except OverflowError as error:
        raise Rejection("time_out_of_range", field, "the time lies outside 1970 to 2099") from error
    micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    if not EARLIEST <= micros < LATEST:
        raise Rejection("time_out_of_range", field, "the time lies outside 1970 to 2099: check the source's clock")
    return micros


def _check_form(text: str, field: str) -> None:
    """Check all forms but the commonest one, which `fromisoformat` reads strictly enough."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Rejection("invalid_value", field, "write a time as 2026-01-31T13:05:00.250Z, at most to the microsecond")
    if match[2] is None:
        raise Rejection("naive_time", field, "the time has no offset: end it with Z or an offset such as -03:00")
