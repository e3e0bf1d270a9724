"""Histories for the laws: small worlds in which everything that can collide does."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from projections.journey.handoffs import handoff_id
from projections.playbook.model import DEFAULT_PLAYBOOK
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


#: Ids of hand-offs that events of small histories may have offered, and one of none.
_HANDOFFS = [
    str(uuid.UUID(bytes=handoff_id(kind, source, uuid.UUID(int=high << 64 | number).bytes)))
    for kind in ("qualified-lead", "recycled-lead")
    for source in ("web", "crm")
    for high in range(4)
    for number in range(6)
]
_DECISIONS_ON_HANDOFFS = st.fixed_dictionaries(
    {"handoff": st.sampled_from([*_HANDOFFS, "none"])},
    optional={
        "by": st.sampled_from(["rosa", "sam"]),
        "department": st.sampled_from(["marketing", "sales"]),
        "reason": st.just("no"),
    },
)

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
    _sale("call_logged"),
    _sale("lead_recycled", reason=st.just("later")),
    _sale("opportunity_opened"),
    _sale("contract_renewed"),
    _sale("usage_reported", quantity=st.sampled_from([1, 3, 100])),
    st.tuples(
        st.just("joint"),
        st.sampled_from(["handoff_accepted", "handoff_rejected", "handoff_withdrawn"]),
        st.just(1),
        _DECISIONS_ON_HANDOFFS,
    ),
    st.tuples(
        st.just("joint"),
        st.just("handoff_offered"),
        st.just(1),
        st.fixed_dictionaries({"handoff": st.sampled_from(["qualified-lead", "win-back", "nothing"])}),
    ),
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


# Playbooks: proposed, approved, rejected, by whom it counts and by whom it does not, in time and too late.

_BASE = DEFAULT_PLAYBOOK.read_text("utf-8")
PLAYBOOKS = [
    _BASE.replace("days: 60}", "days: 5}").replace("score: 30}", "score: 2}"),
    _BASE.replace("page_viewed: 1", "page_viewed: 40").replace("satisfaction_at_most: 4", "satisfaction_at_most: 8"),
    _BASE.replace(
        "  - name: engaged\n", "  - name: curious\n    when: {events: [page_viewed]}\n  - name: engaged\n"
    ).replace("days: 180}", "days: 65}"),
    _BASE.replace("breaker: 200", "breaker: 100"),  # void: it changes who is who
    "name: [",  # void: no YAML
]
_DECISIONS = st.lists(
    st.tuples(
        st.sampled_from(["playbook_approved", "playbook_approved", "playbook_rejected", "playbook_commented"]),
        st.sampled_from(["marketing", "sales"]),
    ),
    max_size=5,
)


def _joint(number: int, type_: str, at: datetime, data: dict[str, Any]) -> tuple[str, bytes]:
    event = {
        "id": str(uuid.UUID(int=1 << 100 | number)),
        "type": type_,
        "version": 1,
        "source": "plan",
        "occurred_at": at.isoformat(),
        "identities": [],
        "data": data,
    }
    return "joint", msgspec.json.encode(event)


@st.composite
def agreements(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """A list of (owner, JSON) of events about up to three playbooks; most of them are agreed."""
    found: list[tuple[str, bytes]] = []
    for number in range(draw(st.integers(0, 3))):
        text, base = draw(st.sampled_from(PLAYBOOKS)), number * 100
        digest = sha256(text.encode()).hexdigest()
        proposal = str(uuid.UUID(int=1 << 100 | base))
        effective = draw(st.none() | _TIMES.map(datetime.isoformat))
        data = {"digest": digest, "playbook": text, "by": "ana", "department": "marketing", "effective_at": effective}
        found.append(_joint(base, "playbook_proposed", draw(_TIMES), data))
        decisions = draw(_DECISIONS)
        if draw(st.integers(0, 3)):
            decisions = [("playbook_approved", "sales"), ("playbook_approved", "marketing"), *decisions]
        for n, (type_, department) in enumerate(decisions):
            more = {"playbook_approved": {"digest": digest}, "playbook_rejected": {"reason": "no"}}.get(type_, {})
            said = {"proposal": proposal, "department": department, "by": "bo", "comment": "why?"} | more
            found.append(_joint(base + n + 1, type_, draw(_TIMES), said))
    return found


_RULED = st.sampled_from(
    [
        [("user_id", "u1"), ("user_id", "u2")],
        [("user_id", "u1"), ("email", "b@x.org")],
        [("crm_contact", "c1"), ("anonymous_id", "d1")],
        [("user_id", "u3"), ("email", "a@x.org"), ("anonymous_id", "d2")],
    ]
)


@st.composite
def rulings(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """A list of (owner, JSON) of up to three rulings on the people of `histories`."""
    found = []
    for number in range(draw(st.integers(0, 3))):
        type_ = draw(st.sampled_from(["identity_joined", "identity_split", "identity_split", "identifier_released"]))
        owner, value = _joint(900 + number, type_, draw(_TIMES), {})
        event = msgspec.json.decode(value)
        event["identities"] = [{"type": kind, "value": one} for kind, one in draw(_RULED)]
        found.append((owner, msgspec.json.encode(event)))
    return found


def decoded(history: list[tuple[str, bytes]]) -> list[Event]:
    """The events of a history."""
    return [decode(body, owner) for owner, body in history]


# Hostile identity histories: what shared devices, cycles, races, rulings, releases, late logins and junk make of it.
# They play in small worlds, so that what can collide does; each world is hard on other rules.

_Who = tuple[str, str]


class _World(NamedTuple):
    people: list[_Who]
    devices: list[_Who]


def _world(people: str, devices: str) -> _World:
    names = [("anonymous_id", value) for value in devices.split()]
    return _World([(_TYPE_OF[value[0]], value) for value in people.split()], names)


_TYPE_OF = {"u": "user_id", "c": "crm_contact", "l": "crm_lead", "+": "phone"} | dict.fromkeys("abA", "email")
_WORLDS = [
    _world("u1 u2 u3 c1 c2 a@x.org A@X.org b@gmail.com +5511987654321", "d1 d2 d3 0"),
    _world("u1 u2 a@x.org", "d1"),
    _world("u1 u2 u3 u4 u5 c1", "d1 d2"),
    _world("c1 c2 l1 l2 u1 a@x.org b@gmail.com", "d1"),
    _world("u1 c1 a@x.org +5511987654321", "d1 d2 d3"),
    _world("a@x.org b@gmail.com a@y.org b@y.org", "d1 d2"),
]
_Hostile = tuple[str, str, dict[str, Any], list[_Who]]


def _facts_of(world: _World) -> st.SearchStrategy[_Hostile]:
    """(owner, type, data, identities) of one event."""
    people, devices = st.sampled_from(world.people), st.sampled_from(world.devices)
    everybody = [*world.people, *world.devices]
    who = st.one_of(
        st.lists(devices, min_size=1, max_size=2, unique=True),
        st.tuples(people, devices).map(list),
        st.lists(st.sampled_from(everybody), min_size=1, max_size=4, unique=True),
    ).filter(lambda found: any(value != "0" for _, value in found))
    people_ruled = st.lists(
        st.sampled_from([one for one in everybody if one[1] != "0"]), min_size=2, max_size=3, unique=True
    ).filter(lambda found: len({value.lower() for _, value in found}) > 1)

    def fact(owner: str, type_: str, data: Any, about: st.SearchStrategy[list[_Who]]) -> st.SearchStrategy[_Hostile]:
        return st.tuples(st.just(owner), st.just(type_), data, about)

    nothing = st.just(dict[str, Any]())
    kinds = [
        *[fact("marketing", "page_viewed", st.just({"url": "/"}), who)] * 4,
        *[fact("marketing", "identified", st.fixed_dictionaries({"traits": _TRAITS}), who)] * 2,
        fact("marketing", "form_submitted", st.fixed_dictionaries({"form": st.just("f"), "traits": _TRAITS}), who),
        fact("marketing", "email_clicked", nothing, who),
        fact("sales", "opportunity_won", st.just({"amount": 5, "currency": "EUR"}), who),
        fact("joint", "identity_joined", nothing, people_ruled),
        fact("joint", "identity_split", nothing, people_ruled),
        fact(
            "joint", "identifier_released", nothing, who.map(lambda found: found[:1]).filter(lambda f: f[0][1] != "0")
        ),
    ]
    contacts = [one for one in world.people if one[0] == "crm_contact"]
    if len(contacts) > 1:
        kinds.append(fact("sales", "contacts_merged", nothing, st.just(contacts)))
    return st.one_of(kinds)


_HOSTILE_FACTS = [_facts_of(world) for world in _WORLDS]
#: Minutes that are inside, at and beyond the end of a session, on few days.
_HOSTILE_TIMES = st.builds(
    lambda day, minute, second: EPOCH + timedelta(days=day, minutes=minute, seconds=second),
    st.sampled_from([0, 0, 0, 1, 9]),
    st.sampled_from([0, 5, 20, 29, 30, 31, 50, 61, 90]),
    st.sampled_from([0, 0, 1]),
)


@st.composite
def hostile_histories(draw: st.DrawFn, max_size: int = 12) -> list[tuple[str, bytes]]:
    """A list of (owner, JSON) of distinct events, most of them about who is who."""
    history = []
    facts = draw(st.sampled_from(_HOSTILE_FACTS))
    for number in range(draw(st.integers(1, max_size))):
        owner, type_, data, who = draw(facts)
        event: dict[str, Any] = {
            "id": str(uuid.UUID(int=draw(st.integers(0, 3)) << 64 | number)),
            "type": type_,
            "version": 2 if type_ == "opportunity_won" else 1,
            "source": draw(st.sampled_from(["web", "crm"])),
            "occurred_at": draw(_HOSTILE_TIMES).isoformat(),
            "identities": [{"type": type_, "value": value} for type_, value in who],
            "data": data,
        }
        if draw(st.integers(0, 3)) == 0:
            event["identities"].append({"type": "account", "value": draw(st.sampled_from(["x.org", "y.org"]))})
        history.append((owner, msgspec.json.encode(event)))
    return history


_OWNERS = {"page_viewed": "marketing", "identified": "marketing", "form_submitted": "marketing"}
_OWNERS |= {"email_clicked": "marketing", "call_logged": "sales", "contacts_merged": "sales"}
_RULINGS = ("identity_joined", "identity_split", "identifier_released")


def long_hostile_history(size: int, seed: int) -> list[tuple[str, bytes]]:
    """One long hostile history of a few dozen people on shared devices; the same for the same seed."""
    chance = random.Random(seed)
    return [_hostile_event(chance, number) for number in range(size)]


def _hostile_event(chance: random.Random, number: int) -> tuple[str, bytes]:
    person, device = chance.randrange(30), chance.randrange(12)
    names = [("user_id", f"u{person}"), ("email", f"e{person // 2}@x.org"), ("crm_contact", f"c{person // 3}")]
    ruling = chance.random() < 0.03
    type_ = chance.choice(_RULINGS if ruling else list(_OWNERS))
    if type_ == "contacts_merged":
        who = [("crm_contact", f"c{person // 3}"), ("crm_contact", f"c{person // 3 + 10 * (person % 7 == 0)}")]
    elif ruling:
        who = [("user_id", f"u{person}"), ("user_id", f"u{chance.randrange(30)}")]
    else:
        who = chance.sample(names, chance.choice([0, 0, 1, 1, 2]))
        if not who or chance.random() < 0.6:
            who.append(("anonymous_id", f"d{device}"))
    if type_ in _RULINGS[:2] and len(set(who)) < 2:
        who[1] = ("email", f"e{person // 2}@x.org")
    minutes = chance.randrange(20) * 1_440 + chance.choice([0, 5, 29, 31, 61, 90, 600])
    event = {
        "id": str(uuid.UUID(int=chance.getrandbits(20) << 64 | number)),
        "type": type_,
        "version": 1,
        "source": chance.choice(["web", "crm"]),
        "occurred_at": (EPOCH + timedelta(minutes=minutes, seconds=chance.randrange(3))).isoformat(),
        "identities": [{"type": name, "value": value} for name, value in dict.fromkeys(who)],
        "data": {"page_viewed": {"url": "/"}, "form_submitted": {"form": "f"}}.get(type_, {}),
    }
    return ("joint" if ruling else _OWNERS[type_]), msgspec.json.encode(event)
