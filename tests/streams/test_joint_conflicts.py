"""Two bodies under one id, of events that hold whatever journey they are about: the winner counts, late as it is."""

import itertools
from collections.abc import Callable

import asyncpg
import pytest

from audit.rebuild import rebuild
from audit.switch import switch
from audit.verify import verify
from streams.engine.conflicts import precedes
from streams.kafka import KafkaSettings
from tests.plans import approve, propose
from tests.support import RULES, body, expected_digest, produce, project, stored_digest, swept, until, worker

Fact = tuple[str, bytes]  #: owner, value

Make = Callable[[int], Fact]  #: of a number that changes nothing but the bytes

_ANA, _BOB = {"user_id": "ana"}, {"email": "bob@x.org"}
_DAY = "2026-01-0{}T00:00:00Z"


def _ruling(type_: str, who: dict[str, str], day: int = 2) -> Make:
    at = _DAY.format(day)
    return lambda n: ("joint", body(1, type_, who=who, source="desk", occurred_at=at, data={"by": f"desk{n}"}))


def _page(n: int) -> Fact:
    data = {"url": f"https://x.org/{n}"}
    return "marketing", body(1, who=_BOB, source="desk", occurred_at=_DAY.format(4), data=data)


def _release(day: int) -> Make:
    return _ruling("identifier_released", {"phone": "+4930123456"}, day)


def _approval(department: str) -> Make:
    return lambda n: approve(2, 1, _DAY.format(3), department, by=f"desk{n}")


def _proposal(effective_at: str) -> Make:
    return lambda n: propose(1, _DAY.format(2), comment=f"the {n}th", effective_at=effective_at)


#: Two bodies of one event each.
_PAIRS: dict[str, tuple[Make, Make]] = {
    "joined, split": (_ruling("identity_joined", _ANA | _BOB), _ruling("identity_split", _ANA | _BOB)),
    "joined, others joined": (
        _ruling("identity_joined", _ANA | _BOB),
        _ruling("identity_joined", _ANA | {"email": "zoe@x.org"}),
    ),
    "joined, a page": (_ruling("identity_joined", _ANA | _BOB), _page),
    "released, later": (_release(2), _release(4)),
    "released, joined": (_release(2), _ruling("identity_joined", _ANA | _BOB)),
    "approved, by the other": (_approval("marketing"), _approval("sales")),
    "proposed, for another day": (_proposal(_DAY.format(4)), _proposal(_DAY.format(6))),
}


def _others(*, proposed: bool) -> list[Fact]:
    """What else there is: people whom the rulings concern, a phone that changes hands, a playbook that is agreed."""
    facts: list[Fact] = [
        *([propose(1, _DAY.format(2))] if proposed else [approve(4, 1, _DAY.format(3), "marketing")]),
        approve(3, 1, _DAY.format(3), "sales"),
        ("sales", body(20, "call_logged", who={"phone": "+4930123456"}, occurred_at=_DAY.format(1))),
        ("sales", body(21, "call_logged", who={"phone": "+4930123456"} | _ANA, occurred_at=_DAY.format(3))),
        ("sales", body(22, "call_logged", who={"phone": "+4930123456"} | _BOB, occurred_at=_DAY.format(5))),
        ("marketing", body(23, who=_ANA, occurred_at=_DAY.format(1))),
        ("marketing", body(24, who=_BOB, occurred_at=_DAY.format(5))),
        ("marketing", body(25, who={"email": "zoe@x.org"}, occurred_at=_DAY.format(6))),
    ]
    for n, who in enumerate((_ANA, _BOB)):
        data = {"form": "contact"}
        facts.append(("marketing", body(30 + n, "form_submitted", who=who, occurred_at=_DAY.format(7), data=data)))
    return facts


async def _settled(kafka: KafkaSettings, database_url: str, records: int) -> None:
    """Everything read, and every journey derived by the terms agreed."""
    await project(kafka, database_url, records)
    connection = await asyncpg.connect(database_url)
    async with worker(kafka, database_url):
        await until(lambda: swept(connection))
    await connection.close()


@pytest.mark.parametrize("name", _PAIRS)
@pytest.mark.parametrize("case", ["winner second", "turned, winner second", "winner first"])
async def test_the_winner_counts_whenever_it_comes(
    kafka_settings: KafkaSettings, database_url: str, name: str, case: str
) -> None:
    """In what is live, and in a projection that was built before the second one came."""
    one, other = reversed(_PAIRS[name]) if "turned" in case else _PAIRS[name]
    loser = one(0)
    winner = next(fact for n in itertools.count() if precedes((fact := other(n))[1], loser[1]))
    first, second = (winner, loser) if case == "winner first" else (loser, winner)
    others = _others(proposed=not name.startswith("proposed"))
    await produce(kafka_settings, [(owner, 0, value) for owner, value in [*others[:6], first, *others[6:]]])
    await _settled(kafka_settings, database_url, len(others) + 1)
    await rebuild(database_url, RULES, "beside", lambda *_: None)
    await produce(kafka_settings, [(second[0], 1, second[1])])
    await _settled(kafka_settings, database_url, len(others) + 2)
    expected = expected_digest([*others, winner])
    assert await stored_digest(database_url) == expected
    assert (await verify(database_url, RULES, lambda *_: None)).differences == []
    await switch(database_url, RULES, "beside", lambda *_: None)
    await _settled(kafka_settings, database_url, len(others) + 2)
    assert await stored_digest(database_url) == expected
    assert (await verify(database_url, RULES, lambda *_: None)).differences == []
