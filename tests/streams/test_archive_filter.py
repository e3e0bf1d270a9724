"""Bytes that may name somebody: none that do are passed over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.fold import subject_of
from projections.journey.links import Known
from schemas.decode import decode
from schemas.rejection import Rejection
from streams.engine.archive_filter import may_name
from tests.laws.histories import hostile_histories
from tests.support import RULES, body

_VALUES = st.one_of(
    st.sampled_from(
        ["A@X.org ", "a@X.ORG", "ä@x.org", "a@bücher.example", "1e3", "42", "042", "Ann/1", 'q"', "u\u0301"]
    ),
    st.text(max_size=6),
    st.integers(-5, 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=2_000)
@given(st.dictionaries(st.sampled_from(["user_id", "email", "phone", "anonymous_id"]), _VALUES, min_size=1))
def test_whoever_is_named_may_be(who: dict[str, object]) -> None:
    value = body(1, who=who)
    _check(value, "marketing")


@settings(max_examples=300)
@given(hostile_histories())
def test_whoever_is_named_in_a_history_may_be(history: list[tuple[str, bytes]]) -> None:
    for owner, value in history:
        _check(value, owner)


def _check(value: bytes, owner: str) -> None:
    try:
        subject = subject_of(decode(value, owner), RULES)
    except Rejection:
        return
    for person in subject.persons if subject is not None else ():
        known = Known(person.key, person.type, person.value, 0, b"", "", 0)
        assert may_name([known])(value), (person, value)


def test_others_are_passed_over() -> None:
    ana = Known(b"", "email", "ana@example.org", 0, b"", "", 0)
    assert may_name([ana])(body(1, who={"email": " Ana@Example.org"}))
    assert not may_name([ana])(body(1, who={"email": "bob@example.org"}))
