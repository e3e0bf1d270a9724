"""A seeded stream of marketing events, as departments' systems would send them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

_START = datetime(2026, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=5)
_ACTIVE = 200  #: customers who are in a session at the same time
_TYPES = ("page_viewed",) * 5 + ("email_opened", "form_submitted", "campaign_touched", "referral_made")
_REPEATABLE = 10_000  #: records that duplicates are drawn from
_DATA: dict[str, dict[str, Any]] = {
    "page_viewed": {"url": "https://example.com/pricing"},
    "form_submitted": {"form": "contact"},
    "referral_made": {"to": "a friend"},
}


class Record(NamedTuple):
    """One record: its partition key and its value."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Workload:
    """What to generate; equal values generate equal records."""

    events: int
    customers: int
    seed: int
    late: float = 0.03  #: share of events that come up to a day late
    linked: float = 0.3  #: share that name a device and a user
    session: int = 5  #: events of a customer's session, on average
    devices: int = 2  #: of each customer: the more there are, the more links are new
    duplicates: float = 0.0  #: share of records that repeat an earlier one
    skew: float = 0.0  #: share of events that are one customer's
    first: int = 0  #: events of the same stream that were generated before


def generate(workload: Workload) -> Iterator[Record]:
    """The records of a workload, in the order of their sending: some 200 customers are in a session at a time."""
    chance = random.Random(f"{workload.seed}/{workload.first}")
    active: list[list[int]] = []
    sent: list[Record] = []
    for index in range(workload.first, workload.first + workload.events):
        if sent and chance.random() < workload.duplicates:
            yield chance.choice(sent)
            continue
        skewed = workload.skew > 0 and chance.random() < workload.skew
        customer = 0 if skewed else _whose(chance, active, workload.customers, workload.session)
        at = _START + index * _STEP
        if chance.random() < workload.late:
            at -= timedelta(seconds=chance.randrange(86_400))
        record = _event(chance, customer, at, workload)
        if workload.duplicates and len(sent) < _REPEATABLE:
            sent.append(record)
        yield record


def _whose(chance: random.Random, active: list[list[int]], customers: int, session: int) -> int:
    if len(active) < _ACTIVE:
        active.append([chance.randrange(customers), 1 + chance.randrange(2 * session - 1)])
    place = chance.randrange(len(active))
    customer, left = active[place]
    active[place][1] = left - 1
    if left <= 1:
        active[place] = active[-1]
        active.pop()
    return customer


def _event(chance: random.Random, customer: int, at: datetime, workload: Workload) -> Record:
    identities = [{"type": "anonymous_id", "value": f"d{customer}-{chance.randrange(workload.devices)}"}]
    draw = chance.random()
    if draw < workload.linked:
        identities.append({"type": "user_id", "value": f"u{customer}"})
    elif draw < workload.linked + 0.1:
        identities = [
            {"type": "email", "value": f"u{customer}@example.com"},
            {"type": "user_id", "value": f"u{customer}"},
        ]
    type_ = chance.choice(_TYPES)
    more = {"channel": chance.choice(("search", "mail", "social")), "campaign": f"c{chance.randrange(5)}"}
    return _record(chance, at, type_, identities, more)


def logins(users: int, seed: int, *, shared: bool) -> Iterator[Record]:
    """Two logins of each user: on a device of their own, or all on one device that everybody shares."""
    chance = random.Random(seed)
    for index in range(2 * users):
        user = index % users
        at = _START + index * timedelta(seconds=1)
        device = "kiosk" if shared else f"d{user}"
        yield record(chance, at, "page_viewed", {"user_id": f"u{user}", "anonymous_id": device})


def tablets(users: int, devices: int, visits: int, seed: int) -> Iterator[Record]:
    """Visits of users to tablets in shops, each a page seen and then a login: refused links tie all users together."""
    chance = random.Random(seed)
    places = [
        (chance.randrange(20 * 86_400), user, chance.randrange(devices)) for user in range(users) for _ in range(visits)
    ]
    for seconds, user, device in sorted(places):
        at, who = _START + timedelta(seconds=seconds), {"anonymous_id": f"tablet{device}"}
        yield record(chance, at, "page_viewed", who)
        yield record(chance, at + timedelta(seconds=30), "page_viewed", {"user_id": f"u{user}", **who})


def record(chance: random.Random, at: datetime, type_: str, who: dict[str, str]) -> Record:
    """One marketing event, keyed by the first identifier."""
    identities = [{"type": name, "value": value} for name, value in who.items()]
    return _record(chance, at, type_, identities, {}, key=identities[0]["value"])


def _record(
    chance: random.Random,
    at: datetime,
    type_: str,
    identities: list[dict[str, str]],
    data: dict[str, str],
    key: str | None = None,
) -> Record:
    event = {
        "id": str(_uuid7(chance, at)),
        "type": type_,
        "version": 1,
        "source": "bench",
        "occurred_at": at.isoformat(),
        "identities": identities,
        "data": _DATA.get(type_, {}) | data,
    }
    return Record((key or identities[-1]["value"]).encode(), msgspec.json.encode(event))


def _uuid7(chance: random.Random, at: datetime) -> UUID:
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62))
