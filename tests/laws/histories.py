"""Histories for the laws: small worlds in which everything that can collide does."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.decode import decode
from schemas.event import Event

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

_IDENTIFIERS = {
    "user_id": ["u1", "u2", "u3"],
    "crm_contact": ["c1", "c2"],
    "crm_lead": ["l1", "l2"],
    "email": ["a@x.org", "B@X.org ", "b@x.org", "c@y.org"],
    "phone": ["+5511987654321"],
    "anonymous_id": ["d1", "d2", "d3", "null"],
    "account": ["x.org", "y.org"],
}
_CHANNELS = st.sampled_from([None, "search", "mail"])
_TRAITS = st.dictionaries(st.sampled_from(["name", "plan"]), st.sampled_from([None, "", "a", 1]), max_size=2)


def _touch(type_: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, str, int, dict[str, Any]]]:
    cost = st.none() | st.builds(
        lambda amount: {"amount": amount, "currency": "EUR"}, st.integers(min_value=0, max_value=500)
    )
    data = st.fixed_dictionaries({**more}, optional={"channel": _CHANNELS, "campaign": _CHANNELS, "cost": cost})
    return st.tuples(st.just("marketing"), st.just(type_), st.just(1), data)


def _sale(type_: str, version: int = 1, **more: Any) -> st.SearchStrategy[tuple[str, str, int, dict[str, Any]]]:
    data = st.fixed_dictionaries({**more}, optional={"owner": st.sampled_from(["rosa", "sam"])})
    return st.tuples(st.just("sales"), st.just(type_), st.just(version), data)


_FACTS = st.one_of(
    _touch("page_viewed", url=st.just("https://x.org/")),
    _touch("campaign_touched"),
    _touch("form_submitted", form=st.just("f"), traits=_TRAITS),
    _touch("lead_qualified"),
    st.tuples(st.just("marketing"), st.just("identified"), st.just(1), st.fixed_dictionaries({"traits": _TRAITS})),
    _sale("lead_accepted"),
    _sale("lead_rejected", reason=st.just("no budget")),
    _sale("opportunity_won", version=2, amount=st.integers(0, 900), currency=st.sampled_from(["EUR", "BRL"])),
    _sale("usage_reported"),
    _sale("satisfaction_answered", score=st.integers(0, 10)),
    _sale("contract_cancelled"),
    _sale("contract_renewed"),
    st.tuples(st.just("sales"), st.just("something_new"), st.just(1), st.just({"x": 1})),
)

#: Days and seconds that make ties, same-day groups and long silences likely.
_TIMES = st.builds(
    lambda day, second: EPOCH + timedelta(days=day, seconds=second),
    st.sampled_from([0, 0, 1, 2, 3, 61, 70, 190, 260]),
    st.sampled_from([0, 0, 5, 3600]),
)

_IDENTITIES = st.lists(
    st.sampled_from([(type_, value) for type_, values in _IDENTIFIERS.items() for value in values]),
    min_size=1,
    max_size=3,
    unique=True,
).filter(lambda found: any(type_ != "account" and value != "null" for type_, value in found))


@st.composite
def bodies(draw: st.DrawFn, number: int) -> tuple[str, bytes]:
    """(owner, JSON of one valid event). Equal numbers have equal ids."""
    owner, type_, version, data = draw(_FACTS)
    event = {
        "id": str(uuid.UUID(int=draw(st.integers(0, 3)) << 64 | number)),
        "type": type_,
        "version": version,
        "source": draw(st.sampled_from(["web", "crm"])),
        "occurred_at": draw(_TIMES).isoformat(),
        "identities": [{"type": type_, "value": value} for type_, value in draw(_IDENTITIES)],
        "data": data,
    }
    if draw(st.booleans()):
        event["consent"] = {"email": draw(st.booleans())}
    return owner, msgspec.json.encode(event)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 14) -> list[tuple[str, bytes]]:
    """A list of (owner, JSON) of distinct events."""
    size = draw(st.integers(1, max_size))
    return [draw(bodies(number)) for number in range(size)]


def decoded(history: list[tuple[str, bytes]]) -> list[Event]:
    """The events of a history."""
    return [decode(body, owner) for owner, body in history]
