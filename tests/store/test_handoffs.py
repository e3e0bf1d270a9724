"""Hand-offs, audiences and credit as they are stored and told: with a real worker, ticker and database."""

import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import orjson
import pytest

from audit.rebuild import rebuild
from projections.attribution.corrections import credit_of
from projections.journey.handoffs import handoff_id
from projections.journey.journey import decode_journey
from store.handoffs import queue, tell_alarms
from store.silence import tell_silence
from streams.kafka import KafkaSettings
from tests.support import RULES, counts, expected_digest, produce, stored_digest, until, worker

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
Record = tuple[str, bytes]


def event(number: int, type_: str, hours: float, room: str, who: dict[str, str], /, **data: Any) -> Record:
    body = {
        "id": str(uuid.UUID(int=number)),
        "type": type_,
        "version": 2 if type_ == "opportunity_won" else 1,
        "source": "crm",
        "occurred_at": (MONDAY + timedelta(hours=hours)).isoformat(),
        "identities": [{"type": key, "value": value} for key, value in who.items()],
        **({"consent": data.pop("consent")} if "consent" in data else {}),
        "data": data,
    }
    return room, msgspec.json.encode(body)


def micros(hours: float) -> int:
    return int((MONDAY + timedelta(hours=hours)).timestamp() * 1_000_000)


class World:
    """A running worker, and the clock in our hands."""

    def __init__(self, kafka: KafkaSettings, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._kafka = kafka
        self._sent = 0

    async def publish(self, *records: Record) -> None:
        await produce(self._kafka, [(owner, self._sent % 3, value) for owner, value in records])
        self._sent += len(records)

        async def read() -> bool:
            return (await counts(self.connection))["read"] == self._sent

        await until(read)

    async def until_hour(self, hours: float) -> None:
        """Let time pass, as the ticker does."""
        while await tell_silence(self.connection, micros(hours)) or await tell_alarms(self.connection, micros(hours)):
            pass

    async def told(self, kind: int = 5) -> list[Any]:
        """The details of all rows of a kind, in order."""
        rows = await self.connection.fetch("SELECT detail FROM changes WHERE kind = $1 ORDER BY seq", kind)
        return [orjson.loads(row["detail"]) for row in rows]

    async def happened(self) -> list[str]:
        return [one["what"] for one in await self.told()]

    async def waiting(self, hours: float, *, team: str | None = None, overdue: bool = False) -> list[str]:
        """Ids of hand-offs in the queue."""
        found = await queue(self.connection, micros(hours), team, None, overdue, None, 100)
        return [str(one.handoff_id) for one in found]


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[World]:
    connection = await asyncpg.connect(database_url)
    async with worker(kafka_settings, database_url):
        yield World(kafka_settings, connection)
    await connection.close()


U = {"user_id": "u"}


def id_of(number: int, kind: str = "qualified-lead") -> str:
    return str(uuid.UUID(bytes=handoff_id(kind, "crm", uuid.UUID(int=number).bytes)))


async def test_what_happens_to_a_hand_off_is_told_once_and_taken_back_where_it_was_not_so(world: World) -> None:
    await world.publish(event(1, "lead_qualified", 0, "marketing", U))
    assert await world.happened() == ["offered"]
    await world.until_hour(1.9)
    assert await world.happened() == ["offered"]
    await world.until_hour(4)
    await world.until_hour(4)
    assert await world.happened() == ["offered", "reminded", "touch-breached"]
    await world.publish(event(2, "call_logged", 1, "sales", U))  # it comes late
    assert await world.happened() == [
        *("offered", "reminded", "touch-breached", "reminded-retracted", "touch-breached-retracted", "touched")
    ]
    await world.publish(event(3, "lead_accepted", 5, "sales", U, owner="rosa"))
    assert (await world.happened())[6:] == ["accepted"]
    assert await world.connection.fetchval("SELECT owner FROM handoffs") == "rosa"
    await world.until_hour(24 * 30)
    assert (await world.happened())[7:] == ["resolution-breached"]
    causes = await world.connection.fetch("SELECT cause FROM changes WHERE kind = 5 ORDER BY seq")
    assert [row["cause"] for row in causes] == [0, 2, 2, 0, 0, 0, 0, 2]


async def test_the_queue_has_what_waits_the_most_overdue_first(world: World) -> None:
    people = [{"user_id": f"u{n}"} for n in range(4)]
    hours = [2, 0, 1, 30]
    await world.publish(
        *(event(n + 1, "lead_qualified", hours[n], "marketing", people[n]) for n in range(4)),
        event(9, "lead_accepted", 3, "sales", people[2], owner="rosa"),
    )
    order = [id_of(2), id_of(1)]
    assert (await world.waiting(5))[:2] == order
    assert await world.waiting(5, overdue=True) == [id_of(2)]
    assert await world.waiting(7, overdue=True, team="sales") == order
    assert await world.waiting(7, overdue=True, team="marketing") == []
    assert set(await world.waiting(24 * 20)) == {id_of(3)}  # the offers have expired, what was accepted has not


async def test_silence_makes_a_hand_off_that_nobody_sees_before_its_time(world: World) -> None:
    await world.publish(
        event(1, "opportunity_won", 0, "sales", U, amount=5, currency="EUR"), event(2, "usage_reported", 1, "sales", U)
    )
    day = 24.0
    assert await world.waiting(59 * day) == []
    [waiting] = await world.waiting(61 * day)
    await world.until_hour(59 * day)
    assert await world.happened() == []
    await world.until_hour(60.1 * day)
    assert await world.happened() == ["offered"]
    await world.publish(event(3, "usage_reported", 30 * day, "sales", U))  # it was no silence
    assert await world.happened() == ["offered", "vanished"]
    assert await world.waiting(61 * day) == []
    assert waiting not in await world.waiting(100 * day)


async def test_audiences_are_entered_and_left_by_events_and_by_time(world: World) -> None:
    mail = {"user_id": "u", "email": "u@x.org"}
    await world.publish(event(1, "identified", 0, "marketing", mail, traits={}, consent={"email": True}))
    assert await world.told(6) == [{"audience": "nurture"}]
    await world.publish(event(2, "consent_changed", 1, "marketing", U, consent={"email": False}))
    assert await world.told(7) == [{"audience": "nurture"}]
    await world.publish(
        event(3, "opportunity_won", 2, "sales", U, amount=5, currency="EUR"), event(4, "usage_reported", 3, "sales", U)
    )
    await world.until_hour(24 * 61)
    assert [one["audience"] for one in await world.told(6)] == ["nurture", "customers", "win-back"]
    await world.publish(event(5, "usage_reported", 24 * 20, "sales", U))  # late: there was no silence by then
    assert [one["audience"] for one in await world.told(6)] == ["nurture", "customers", "win-back", "customers"]
    assert [one["audience"] for one in await world.told(7)] == ["nurture", "customers", "win-back"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_corrections_of_credit_add_up_to_the_credit_as_it_is(
    world: World, kafka_settings: KafkaSettings, database_url: str, seed: int
) -> None:
    """Late touchpoints, merges and bookings in any order: the rows' sum is the attribution over all journeys."""
    chance = random.Random(seed)
    records = _bookings(chance)
    expected = expected_digest(records)
    while records:
        number = chance.randint(1, 15)
        await world.publish(*records[:number])
        records = records[number:]
    found: Counter[tuple[str | None, str | None, str]] = Counter()
    rows = await world.told(8)
    for row in rows:
        for line in row["lines"]:
            found[line["channel"], line["campaign"], line["currency"]] += line["amount"]
    assert await stored_digest(database_url) == expected
    assert {place: amount for place, amount in found.items() if amount} == await _credit(world.connection)
    assert any(line["amount"] < 0 for row in rows for line in row["lines"]), "nothing was ever corrected"


def _bookings(chance: random.Random) -> list[Record]:
    records: list[Record] = []
    for n in range(120):
        person = chance.randrange(6)
        who = {"user_id": f"u{person}"} if chance.random() < 0.6 else {"email": f"e{person}@x.org"}
        if chance.random() < 0.08:
            who = {"user_id": f"u{person}", "email": f"e{person}@x.org"}
        hours = chance.randrange(2_000)
        if chance.random() < 0.2:
            won = {"amount": chance.randrange(1, 1_000), "currency": "EUR"}
            records.append(event(n + 1, "opportunity_won", hours, "sales", who, **won))
        else:
            touch = {"channel": chance.choice(["search", "mail", "fair"]), "campaign": chance.choice([None, "spring"])}
            records.append(event(n + 1, "campaign_touched", hours, "marketing", who, **touch))
    return records


async def _credit(connection: asyncpg.Connection) -> dict[tuple[str | None, str | None, str], int]:
    found: Counter[tuple[str | None, str | None, str]] = Counter()
    for row in await connection.fetch("SELECT journey_id, rev, state FROM journeys"):
        found.update(credit_of(decode_journey(row["journey_id"].bytes, row["rev"], row["state"]), RULES))
    return dict(found)


async def test_a_rebuild_has_the_same_hand_offs(world: World, database_url: str) -> None:
    people = [{"user_id": f"u{n}"} for n in range(12)]
    records = [event(n + 1, "lead_qualified", n, "marketing", people[n]) for n in range(12)]
    records += [event(n + 20, "lead_accepted", n + 3, "sales", people[n], owner="rosa") for n in range(0, 12, 2)]
    records += [event(n + 40, "lead_recycled", n + 9, "sales", people[n], reason="later") for n in range(0, 12, 3)]
    records += [event(60, "identified", 50, "marketing", {"user_id": "u1", "email": "a@x.org"}, traits={})]
    records += [event(61, "lead_qualified", 49, "marketing", {"email": "a@x.org"})]
    await world.publish(*records)
    await rebuild(database_url, RULES, "beside", lambda *_: None)
    columns = "handoff_id, journey_id, kind, state, since, owner, touched_at, due_at, open_until, alarms"
    live = await world.connection.fetch(f"SELECT {columns} FROM handoffs ORDER BY 1")
    assert len(live) > 12
    assert live == await world.connection.fetch(f"SELECT {columns} FROM beside.handoffs ORDER BY 1")
    audiences = "SELECT journey_id, audiences, due FROM {}.journeys ORDER BY 1"
    assert await world.connection.fetch(audiences.format("public")) == await world.connection.fetch(
        audiences.format("beside")
    )
