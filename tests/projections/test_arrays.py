"""Arrays put together are the bytes of encoding them together."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.journey.arrays import is_empty, joined

_encode = msgspec.msgpack.encode
#: where the head of an array becomes longer
_EDGES = [0, 1, 15, 16, 17, 65_535, 65_536, 65_537]


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=40), st.lists(st.text(), max_size=40))
def test_joined_arrays_are_encoded_as_one(one: list[int], other: list[str]) -> None:
    assert bytes(joined(msgspec.Raw(_encode(one)), _encode(other))) == _encode([*one, *other])
    assert is_empty(msgspec.Raw(_encode(one))) == (not one)


@pytest.mark.parametrize("one", _EDGES)
@pytest.mark.parametrize("other", _EDGES)
def test_heads_are_the_shortest(one: int, other: int) -> None:
    assert bytes(joined(msgspec.Raw(_encode([0] * one)), _encode([0] * other))) == _encode([0] * (one + other))
