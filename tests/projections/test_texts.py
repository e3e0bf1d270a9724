"""Ids and times as text: written by hand for speed, so they must be what the standard library writes."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from projections.text import id_text, time_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (
    (datetime(year, month, day, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    for year, month, day in ((1, 1, 1), (9999, 12, 31))
)


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_written_as_a_uuid(id_: bytes) -> None:
    assert id_text(id_) == str(uuid.UUID(bytes=id_))


@given(st.integers(_FIRST, _LAST))
def test_a_time_is_written_in_utc_with_microseconds(micros: int) -> None:
    moment = _EPOCH + timedelta(microseconds=micros)
    assert time_text(micros) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
