"""What time alone does, as the feed tells it: in step with the reads, and never against what events say."""

import random
from collections.abc import AsyncIterator

import asyncpg
import orjson
import pytest

from projections.text import time_text
from schemas.times import DAY
from store.silence import tell_silence
from streams.kafka import KafkaSettings
from tests.laws.histories import long_hostile_history
from tests.support import RULES, body, counts, produce, until, worker

_T0 = 1_767_225_600_000_000  # 2026-01-01


def fact(number: int, type_: str, day: int, **data: object) -> tuple[str, bytes]:
    who = {"user_id": "u"}
    at = time_text(_T0 + day * DAY)
    owner = "marketing" if type_ == "page_viewed" else "sales"
    version = 2 if type_ == "opportunity_won" else 1
    return (owner, body(number, type_, who=who, version=version, occurred_at=at, data=data))


WON = fact(0, "opportunity_won", 0, amount=1, currency="EUR")
USED = fact(1, "usage_reported", 10)


class Feed:
    """A worker that runs, a clock that is set, and the stages that the feed tells."""

    def __init__(self, kafka: KafkaSettings, connection: asyncpg.Connection) -> None:
        self._kafka, self._connection, self._read = kafka, connection, 0

    async def publish(self, *facts: tuple[str, bytes]) -> None:
        """Send events and wait until they are applied."""
        await produce(self._kafka, [(owner, 0, value) for owner, value in facts])
        self._read += len(facts)
        await until(self._applied)

    async def _applied(self) -> bool:
        return (await counts(self._connection))["read"] == self._read

    async def until_day(self, day: float) -> int:
        """Let time pass. Returns of how many journeys the feed told."""
        told = 0
        while found := await tell_silence(self._connection, int(_T0 + day * DAY)):
            told += found
        return told

    async def stages(self) -> list[tuple[str | None, str | None, int]]:
        """(from, to, cause) of all changes."""
        rows = await self._connection.fetch(
            "SELECT stage_from, stage_to, cause FROM changes WHERE detail IS NULL ORDER BY seq"
        )
        names = (*RULES.names, None)
        return [(names[-1 if f is None else f], names[-1 if t is None else t], cause) for f, t, cause in rows]


@pytest.fixture
async def feed(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[Feed]:
    connection = await asyncpg.connect(database_url)
    async with worker(kafka_settings, database_url):
        yield Feed(kafka_settings, connection)
    await connection.close()


async def test_silence_is_told_once_and_when_it_is_due(feed: Feed) -> None:
    await feed.publish(WON, USED)
    before = len(await feed.stages())
    told = [await feed.until_day(day) for day in (69, 70, 71, 189, 190, 3_000)]
    assert told == [0, 1, 0, 0, 1, 0]
    assert (await feed.stages())[before:] == [("customer", "at-risk", 2), ("at-risk", "lapsed", 2)]


async def test_what_was_long_due_is_told_step_by_step(feed: Feed) -> None:
    await feed.publish(WON, USED)
    assert await feed.until_day(1_000) == 1
    assert (await feed.stages())[-2:] == [("customer", "at-risk", 2), ("at-risk", "lapsed", 2)]


async def test_a_late_event_shows_that_there_was_no_silence(feed: Feed) -> None:
    await feed.publish(WON, USED)
    await feed.until_day(75)
    await feed.publish(fact(2, "usage_reported", 60))
    assert (await feed.stages())[-1] == ("at-risk", "customer", 0)
    assert await feed.until_day(119) == 0
    assert await feed.until_day(120) == 1
    assert (await feed.stages())[-1] == ("customer", "at-risk", 2)


async def test_a_late_event_that_ends_no_silence_takes_nothing_back(feed: Feed) -> None:
    await feed.publish(WON, USED)
    await feed.until_day(75)
    await feed.publish(fact(2, "page_viewed", 5, url="https://x.org/"))
    assert (await feed.stages())[-1] == ("at-risk", "at-risk", 0)
    assert await feed.until_day(76) == 0
    assert await feed.until_day(190) == 1
    assert (await feed.stages())[-1] == ("at-risk", "lapsed", 2)


async def test_a_new_event_steps_over_the_silence_itself(feed: Feed) -> None:
    await feed.publish(WON, USED)
    await feed.until_day(75)
    await feed.publish(fact(2, "contract_renewed", 80))
    assert (await feed.stages())[-1] == ("at-risk", "won-back", 0)
    assert await feed.until_day(139) == 0


def _sale(chance: random.Random, number: int) -> tuple[str, bytes]:
    """Somebody buys, uses what was bought, or is won back."""
    type_ = chance.choice(["opportunity_won", "usage_reported", "usage_reported", "contract_renewed"])
    who = {"user_id": f"u{chance.randrange(30)}"}
    at = time_text(_T0 + chance.randrange(200) * DAY)
    data = {"amount": 1, "currency": "EUR"} if type_ == "opportunity_won" else {}
    version = 2 if type_ == "opportunity_won" else 1
    return ("sales", body(number, type_, who=who, version=version, occurred_at=at, data=data))


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_stages_that_are_told_are_a_chain_that_ends_in_the_present(
    feed: Feed, database_url: str, seed: int
) -> None:
    """Whatever comes in whatever order, and whenever time is told of: from is what the one before said."""
    chance = random.Random(seed)
    history = long_hostile_history(500, seed) + [_sale(chance, number) for number in range(10_000, 10_200)]
    chance.shuffle(history)
    day = 0.0
    while history:
        number = chance.randint(1, 60)
        await feed.publish(*history[:number])
        history = history[number:]
        day += chance.choice([0, 1, 40])
        await feed.until_day(day)
    connection = await asyncpg.connect(database_url)
    told: dict[object, int | None] = {}
    rows = await connection.fetch(
        "SELECT journey_id, stage_from, stage_to FROM changes WHERE detail IS NULL ORDER BY seq"
    )
    for row in rows:
        assert told.get(row["journey_id"]) == row["stage_from"], f"seed {seed}"
        told[row["journey_id"]] = row["stage_to"]
    present = {}
    for row in await connection.fetch("SELECT journey_id, stage, due FROM journeys"):
        due = [stage for at, stage, _ in orjson.loads(row["due"] or "[]") if at <= _T0 + day * DAY]
        present[row["journey_id"]] = due[-1] if due else row["stage"]
    assert {journey: stage for journey, stage in told.items() if stage is not None} == present, f"seed {seed}"
    assert await connection.fetchval("SELECT count(*) FROM changes WHERE cause = 2"), "nobody fell silent"
    await connection.close()
