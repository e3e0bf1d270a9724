"""kill -9 of the example application at random moments: its table is the projection's, its log has nothing twice."""

import asyncio
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

import tandem
from api.feed.cursor import parse_cursor
from projections.views.feed import feed_journey_view
from store.feed import read_head, read_journeys
from store.migrate import create_database
from streams.kafka import KafkaSettings
from tests.feeds import NOW, begin, fill, serving
from tests.support import RULES, body, counts, produce, until, worker

APP = Path(__file__).parents[2] / "examples" / "sales-app" / "sales_app.py"
KILLS = 22
SEED = 22
PEOPLE = 240
START = uuid.UUID(int=0)

_STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("marketing", "page_viewed", {"url": "/"}),
    ("marketing", "lead_qualified", {"channel": "fair"}),
    ("sales", "lead_accepted", {"owner": "rosa"}),
    ("sales", "opportunity_opened", {"owner": "sam"}),
    ("sales", "opportunity_won", {"amount": 900, "currency": "EUR"}),
    ("sales", "lead_recycled", {"reason": "no budget"}),
    ("sales", "opportunity_lost", {"reason": "price"}),
]


def event(chance: random.Random, number: int) -> tuple[str, int, bytes]:
    """Of one of many households that share a tablet: a step of somebody's, a login on the tablet, or a ruling."""
    person = chance.randrange(PEOPLE)
    household, roll = person // 3, chance.random()
    owner, type_, data = chance.choice(_STEPS)
    who = [("user_id", f"u{person}")]
    if roll < 0.1:
        owner, type_, data = "joint", chance.choice(["identity_joined", "identity_split"]), {"by": "ops"}
        who = [("user_id", f"u{household * 3 + n}") for n in chance.sample(range(3), 2)]
    elif roll < 0.3:
        owner, type_, data = "marketing", "identified", {}
        who.append(("anonymous_id", f"tablet{household}"))
    elif roll < 0.4:
        owner, type_, data = "marketing", "lead_qualified", {}
        who = [("anonymous_id", f"tablet{household}"), ("account", f"Household {household}")]
    identities = [{"type": kind, "value": value} for kind, value in who]
    version = 2 if type_ == "opportunity_won" else 1
    return owner, chance.randrange(3), body(number, type_, version=version, data=data, identities=identities)


@pytest.fixture
async def sales_url(postgres_server: str) -> AsyncIterator[str]:
    """URL of sales' own database."""
    name = f"sales_{uuid.uuid4().hex}"
    yield await create_database(postgres_server, name)
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def spawn(api: str, sales_url: str, **more: Any) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "TANDEM_API": api, "SALES_DATABASE_URL": sales_url}
    return subprocess.Popen([sys.executable, str(APP)], env=environment, **more)


@pytest.mark.slow
async def test_killed_again_and_again_it_ends_with_the_table_of_the_projection(
    kafka_settings: KafkaSettings, database_url: str, sales_url: str
) -> None:
    chance = random.Random(SEED)
    connection, sales = await asyncpg.connect(database_url), await asyncpg.connect(sales_url)
    sent = behind = 0
    over = asyncio.Event()

    async def send(number: int) -> None:
        nonlocal sent
        await produce(kafka_settings, [event(chance, sent + n) for n in range(number)])
        sent += number

    async def flow() -> None:
        while not over.is_set():
            await send(20)
            await asyncio.sleep(0.02)

    async def read_all() -> bool:
        return (await counts(connection))["read"] == sent

    await send(900)
    async with worker(kafka_settings, database_url), serving(database_url) as (api, hub):
        await until(read_all)
        begun = await read_head(connection)
        assert begun is not None
        await until(lambda: _reached(hub, begun.seq))
        flowing = None
        for _ in range(KILLS):
            before = await cursor_of(sales)
            process = spawn(api, sales_url)
            try:
                await until(lambda process=process, before=before: _moved(process, sales, before))
                flowing = flowing or asyncio.create_task(flow())
                await asyncio.sleep(chance.random() * 0.2)
            finally:
                process.kill()
                process.wait()
            head, cursor = await read_head(connection), parse_cursor(str(await cursor_of(sales)))
            assert head is not None
            behind += head.seq > cursor.seq
        over.set()
        await flowing
        process = spawn(api, sales_url)
        try:
            await until(read_all)
            await until(lambda: _caught_up(connection, sales))
            await until(lambda: _same(connection, sales))
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
        finally:
            process.kill()
            process.wait()
    concerned = [RULES.names.index(name) for name in CONCERNED]
    told = await connection.fetch(
        "SELECT seq, kind FROM changes WHERE seq > $1 AND (stage_from = ANY($2) OR stage_to = ANY($2)) ORDER BY seq",
        begun.seq,
        concerned,
    )
    kinds = [row["kind"] for row in told]
    logged = [row["seq"] for row in await sales.fetch("SELECT seq FROM deal_log ORDER BY seq")]
    merged, split = kinds.count(2), kinds.count(4)
    print(f"seed {SEED}: {sent} events, {len(logged)} changes, {merged} merges, {split} splits, {behind} kills behind")
    assert logged == [row["seq"] for row in told]
    assert merged > 20
    assert split > 20
    assert behind >= KILLS / 4, "too few kills came while something was under way: the test would prove nothing"
    await connection.close()
    await sales.close()


def test_without_a_database_it_ends_with_one_sentence() -> None:
    for url in ("", "nonsense", "postgresql://nobody@127.0.0.1:1/none"):
        done = subprocess.run(
            [sys.executable, str(APP)],
            env={**os.environ, "SALES_DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith("sales-app: "), line
        assert "SALES_DATABASE_URL" in line


async def test_beside_another_one_it_ends_with_one_sentence(database_url: str, sales_url: str) -> None:
    connection, sales = await asyncpg.connect(database_url), await asyncpg.connect(sales_url)
    await begin(connection)
    async with serving(database_url) as (api, hub):
        process = spawn(api, sales_url, stderr=subprocess.PIPE)
        assert process.stderr is not None, "it is a pipe"
        try:
            await until(lambda: _moved(process, sales, None))
            await sales.execute("UPDATE tandem_cursors SET cursor = 'elsewhere'")
            await until(lambda: _listens_or_ended(hub, process))  # it may move its cursor once more before it listens
            await fill(connection, 1, stage=RULES.names.index("customer"))
            _, said = await asyncio.to_thread(process.communicate, timeout=30)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
    assert process.returncode == 1
    [line] = said.decode().splitlines()
    assert line.startswith("sales-app: another process follows"), line
    await connection.close()
    await sales.close()


async def test_what_is_hidden_from_sales_is_left_empty(sales_url: str) -> None:
    sales = await asyncpg.connect(sales_url)
    app = runpy.run_path(str(APP))
    await sales.execute(app["_TABLES"])
    times = dict.fromkeys(("stage_since", "first_seen", "last_seen"), "2026-03-02T09:00:00.000000Z")
    journey = tandem.answers.FeedJourney(
        journey_id=str(START), version=1, stage="customer", identifiers=(), consent={}, **times
    )
    await app["keep_or_drop"](sales, tandem.Change(kind="changed", cursor="c", journey_id=str(START), journey=journey))
    row = await sales.fetchrow("SELECT owner, account, value FROM deals")
    assert row is not None
    assert tuple(row) == (None, None, "null")
    await sales.close()


async def _listens_or_ended(hub: Any, process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None or await _listens(hub)


async def _listens(hub: Any) -> bool:
    return bool(hub._everybody())


CONCERNED = [RULES.names[number] for number in sorted(RULES.terms[0].concerns["sales"])]


async def _reached(hub: Any, seq: int) -> bool:
    return hub.position is not None and hub.position.seq == seq


async def cursor_of(sales: asyncpg.Connection) -> str | None:
    """Where the application is."""
    if await sales.fetchval("SELECT to_regclass('tandem_cursors')") is None:
        return None
    return await sales.fetchval("SELECT cursor FROM tandem_cursors")


async def _moved(process: "subprocess.Popen[bytes]", sales: asyncpg.Connection, before: str | None) -> bool:
    assert process.poll() is None, "the application ended by itself"
    return await cursor_of(sales) != before


async def _caught_up(connection: asyncpg.Connection, sales: asyncpg.Connection) -> bool:
    head = await read_head(connection)
    return head is not None and parse_cursor(str(await cursor_of(sales))).seq == head.seq


async def deals_of(connection: asyncpg.Connection) -> dict[str, tuple[Any, ...]]:
    """What sales' table must be, from the projection."""
    journeys = await read_journeys(connection, START, 100_000)
    views = [msgspec.to_builtins(feed_journey_view(one, RULES, NOW)) for one in journeys]
    return {
        view["journey_id"]: (
            *(view[name] for name in ("version", "stage", "owner", "account", "value")),
            [f"{one['type']}:{one['value']}" for one in view["identifiers"]],
        )
        for view in views
        if view["stage"] in CONCERNED
    }


async def _same(connection: asyncpg.Connection, sales: asyncpg.Connection) -> bool:
    rows = await sales.fetch("SELECT * FROM deals WHERE NOT doubted")
    found = {
        str(row["journey_id"]): (
            *(row[name] for name in ("version", "stage", "owner", "account")),
            json.loads(row["value"]),
            row["identifiers"],
        )
        for row in rows
    }
    return found == await deals_of(connection)
