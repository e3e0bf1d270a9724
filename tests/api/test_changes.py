"""The change feed over HTTP: no gap, no hole, no silence where something was lost. Faults 19 to 22."""

import asyncio
import random
import socket
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import server_sent_events
from api import subscription as following
from api.app import create_app
from api.feed.cursor import Cursor, InvalidCursor, parse_cursor
from projections.views.feed import FeedChange, FeedJourney
from projections.views.interest import Interest, topics_of
from projections.views.summary import Summary
from store.feed import prune_changes, read_changes
from streams.kafka import KafkaSettings
from tests.api.contracts import check_body
from tests.feeds import Told, begin, fill, listening, serving
from tests.support import RULES, body, produce, project, until, worker


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await begin(connection)
    yield connection
    await connection.close()


async def seqs(told: AsyncIterator[Told], until_seq: int) -> list[int]:
    """The numbers of all changes up to one."""
    found: list[int] = []
    while not found or found[-1] < until_seq:
        one = await anext(told)
        assert one.event in ("change", "progress"), one
        if one.event == "change":
            found.append(one.data["seq"])
        else:
            passed = parse_cursor(one.cursor).seq
            assert passed < until_seq or (found and found[-1] == passed), f"passed over before {passed}"
    return found


async def test_changes_come_once_and_in_order(database_url: str, database: asyncpg.Connection) -> None:
    async with serving(database_url) as (url, _), listening(url) as told:
        assert (await anext(told)).event == "progress"
        for number in (1, 10, 3_000):
            await fill(database, number)
        assert await seqs(told, 3_011) == list(range(1, 3_012))


async def test_it_goes_on_behind_a_cursor(database_url: str, database: asyncpg.Connection) -> None:
    await fill(database, 2_000)
    async with serving(database_url) as (url, hub):
        cursor = str(Cursor(hub.position.epoch, 700))
        async with listening(url, cursor) as told:
            assert await seqs(told, 2_000) == list(range(701, 2_001))
        async with httpx.AsyncClient(base_url=url) as client:
            page = (await client.get("/v1/changes", params={"cursor": cursor})).json()
            assert [change["seq"] for change in page["changes"]] == list(range(701, 1_201))
            last = (await client.get("/v1/changes", params={"cursor": str(Cursor(hub.position.epoch, 2_000))})).json()
            assert last["changes"] == []
            waiting = asyncio.create_task(client.get("/v1/changes", params={"cursor": last["cursor"], "wait": 30}))
            await until(lambda: _true(hub._everybody()))
            await fill(database, 2)
            assert [change["seq"] for change in (await waiting).json()["changes"]] in ([2_001], [2_001, 2_002])


async def _true(value: object) -> bool:
    return bool(value)


async def test_five_hundred_cuts_lose_nothing_and_repeat_nothing(
    database_url: str, database: asyncpg.Connection
) -> None:
    """Fault 20: cut off at random points, also in the middle of an event, and on from the last id that was seen."""
    chance, cuts = random.Random(20), 500
    total = 0

    async def write() -> None:
        nonlocal total
        while len(ended) < cuts:
            number = chance.randint(1, 40)
            await fill(database, number)
            total += number
            await asyncio.sleep(0)

    ended: list[int] = []
    found: list[int] = []
    async with serving(database_url) as (url, hub):
        cursor = str(hub.position)
        writing = asyncio.create_task(write())
        while len(ended) < cuts:
            patience = chance.randint(0, 30)
            async with listening(url, cursor) as told:
                async for one in told:
                    assert one.event in ("change", "progress"), one
                    cursor = one.cursor
                    if one.event == "change":
                        found.append(one.data["seq"])
                    patience -= 1
                    if patience < 0:
                        break
            ended.append(len(found))
        await writing
        async with listening(url, cursor) as told:
            found += (
                [seq for seq in await seqs(told, total) if not found or seq > found[-1]] if found[-1] < total else []
            )
    print(f"{cuts} cuts, {total} changes, seed 20")
    assert found == list(range(1, total + 1))


async def test_what_comes_between_the_last_page_and_the_hub_is_told(
    database_url: str, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, 10)
    pages = 0

    async def slowly(connection: asyncpg.Connection, after: int, limit: int) -> list[FeedChange]:
        nonlocal pages
        found = await read_changes(connection, after, limit)
        pages += 1
        if pages == 1:
            await fill(database, 10)
            await until(lambda: _true(hub.position.seq == 20))
        return found

    async with serving(database_url) as (url, hub):
        monkeypatch.setattr(following, "read_changes", slowly)
        async with listening(url, str(Cursor(hub.position.epoch, 0))) as told:
            assert await seqs(told, 20) == list(range(1, 21))


async def test_who_commits_late_is_not_passed_over(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 19: one batch has its numbers and is not committed yet; another one overtakes it if it can."""
    held, release = asyncio.Event(), asyncio.Event()
    write = asyncpg.Connection.copy_records_to_table

    async def slowly(self: asyncpg.Connection, table: str, **more: Any) -> str:
        if table == "changes" and not held.is_set():
            held.set()
            await release.wait()
        return await write(self, table, **more)

    monkeypatch.setattr(asyncpg.Connection, "copy_records_to_table", slowly)
    watcher = await asyncpg.connect(database_url)

    async def overtaken_or_waiting() -> bool:
        return bool(
            await watcher.fetchval("SELECT count(*) FROM changes")
            or await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )

    records = [("marketing", n % 3, body(n, who={"user_id": f"u{n}"})) for n in range(30)]
    await produce(kafka_settings, records)
    async with worker(kafka_settings, database_url), worker(kafka_settings, database_url):
        await until(lambda: _true(held.is_set()))
        await until(overtaken_or_waiting)
        early = [change.seq for change in await read_changes(watcher, 0, 1_000)]
        release.set()

        async def all_there() -> bool:
            return bool(await watcher.fetchval("SELECT count(*) FROM journeys") == 30)

        await until(all_there)
    late = [change.seq for change in await read_changes(watcher, early[-1] if early else 0, 1_000)]
    everything = [row["seq"] for row in await watcher.fetch("SELECT seq FROM changes ORDER BY seq")]
    await watcher.close()
    assert early + late == everything == list(range(1, len(everything) + 1))


async def test_a_slow_subscriber_is_let_go_and_comes_back(
    database_url: str, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 21: what waits for one that reads nothing is bounded; the others are not held up."""
    monkeypatch.setattr(server_sent_events, "_STUCK_SECONDS", 6.0)
    async with serving(database_url) as (url, hub), listening(url) as quick:
        cursor = (await anext(quick)).cursor
        slow = await _deaf(url, cursor)
        await until(lambda: _true(len(hub._everybody()) == 2))
        written = 0
        while not any(subscriber.ended == "slow" for subscriber in hub._everybody()):
            await fill(database, 2_000)
            written += 2_000
            await seqs(quick, written)
            assert len(hub._everybody()) == 2, "it was let go before it was slow"
        await until(lambda: _true(len(hub._everybody()) == 1))
        slow.close()
        await fill(database, 1)
        assert await seqs(quick, written + 1) == [written + 1]
        async with listening(url, cursor) as again:
            assert await seqs(again, written + 1) == list(range(1, written + 2))


async def _deaf(url: str, cursor: str) -> socket.socket:
    """A subscriber that never reads."""
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.setblocking(False)
    await loop.sock_connect(deaf, (where.hostname, where.port))
    request = f"GET /v1/changes HTTP/1.1\r\nHost: {where.netloc}\r\nAccept: text/event-stream\r\n"
    await loop.sock_sendall(deaf, f"{request}Last-Event-ID: {cursor}\r\n\r\n".encode())
    return deaf


async def test_without_hints_and_with_its_connection_cut_it_only_takes_longer(
    database_url: str, database: asyncpg.Connection
) -> None:
    """Fault 22: nobody sends NOTIFY here, and the reader's connection is cut again and again."""
    async with serving(database_url) as (url, _), listening(url) as told:
        await anext(told)
        for n in range(5):
            await fill(database, 100)
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%feed_seq%'"
            )
            assert await seqs(told, 100 * (n + 1)) == list(range(100 * n + 1, 100 * (n + 1) + 1))


async def test_a_cursor_that_one_cannot_go_on_from_is_refused_aloud(
    database_url: str, database: asyncpg.Connection
) -> None:
    await fill(database, 100)
    await database.execute("UPDATE changes SET committed_at = now() - interval '40 days' WHERE seq <= 50")
    cut = await database.fetchval("SELECT now() - interval '30 days'")
    assert await prune_changes(database, cut, 10) == 10
    assert await prune_changes(database, cut, 1_000) == 40
    assert await prune_changes(database, cut, 1_000) == 0
    async with serving(database_url) as (url, hub), httpx.AsyncClient(base_url=url) as client:
        epoch = hub.position.epoch
        refused = {
            "too_old": Cursor(epoch, 49),
            "ahead": Cursor(epoch, 101),
            "other_epoch": Cursor(uuid.UUID(int=7), 60),
        }
        for reason, cursor in refused.items():
            answer = await client.get("/v1/changes", params={"cursor": str(cursor)})
            assert answer.status_code == 410
            assert reason in answer.json()["detail"]
            async with listening(url, str(cursor)) as told:
                events = [one async for one in told]
            assert events[-1] == Told("reset", "", {"reason": reason})
        assert (await client.get("/v1/changes", params={"cursor": str(Cursor(epoch, 50))})).json()["changes"]
        async with listening(url) as told:  # a projection was switched under a subscriber
            await anext(told)
            await database.execute("UPDATE projection SET feed_epoch = gen_random_uuid(), feed_seq = 5")
            while (one := await anext(told)).event == "progress":
                pass
            assert (one.event, one.data) == ("reset", {"reason": "other_epoch"})


async def test_a_snapshot_and_what_follows_leave_no_hole(kafka_settings: KafkaSettings, database_url: str) -> None:
    """A table kept by snapshot and changes ends as the database, also if the snapshot is cut and new people come."""
    connection = await asyncpg.connect(database_url)

    async def people() -> int:
        return int(await connection.fetchval("SELECT count(*) FROM journeys"))

    async def have(number: int) -> bool:
        return await people() >= number

    first = [("marketing", n % 3, body(n, who={"user_id": f"u{n}"})) for n in range(1_200)]
    await produce(kafka_settings, first)
    table: dict[str, int] = {}
    async with worker(kafka_settings, database_url), serving(database_url) as (url, hub):
        await until(lambda: have(1_200))
        await until(lambda: _true(hub.position is not None and hub.position.seq))
        more = [("marketing", n % 3, body(n, who={"user_id": f"u{n % 1_900}"})) for n in range(1_200, 3_000)]
        merges = [
            ("marketing", n % 3, body(n, "identified", who={"user_id": f"u{n}", "email": f"e{n}@x.org"}, data={}))
            for n in range(3_000, 3_010)
        ]
        cursor, complete = None, False
        writing = asyncio.create_task(produce(kafka_settings, [*more, *merges]))
        while not complete:
            filters = {} if cursor else {"snapshot": "true"}
            async with listening(url, cursor, **filters) as told:
                for _ in range(400):
                    one = await anext(told)
                    cursor = one.cursor
                    if one.event == "journey":
                        table[one.data["journey_id"]] = one.data["version"]
                    complete = complete or one.event == "live"
                    _apply(table, one)
        await writing
        await until(lambda: have(1_900))
        expected = {str(row["journey_id"]): row["events"] for row in await connection.fetch("SELECT * FROM journeys")}
        async with listening(url, cursor) as told:
            while table != expected:
                _apply(table, await anext(told))
                expected = {
                    str(row["journey_id"]): row["events"] for row in await connection.fetch("SELECT * FROM journeys")
                }
    await connection.close()


def _apply(table: dict[str, int], one: Told) -> None:
    if one.event == "change":
        journey = one.data["journey"]
        if journey is None:
            table.pop(one.data["journey_id"], None)
        else:
            table[journey["journey_id"]] = journey["version"]


async def test_a_snapshot_in_pages_says_when_it_is_complete(
    kafka_settings: KafkaSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 10)
    await produce(kafka_settings, [("marketing", n % 3, body(n, who={"user_id": f"u{n}"})) for n in range(25)])
    await project(kafka_settings, database_url, 25)
    async with serving(database_url) as (url, _), httpx.AsyncClient(base_url=url) as client:
        for filters, found in (({}, [10, 10, 5]), ({"stage": "customer"}, [0, 0, 0])):
            page = (await client.get("/v1/changes", params={"snapshot": "true", **filters})).json()
            pages = [page]
            while not page["live"]:
                page = (await client.get("/v1/changes", params={"cursor": page["cursor"], **filters})).json()
                pages.append(page)
            assert [len(page["journeys"]) for page in pages] == found
        assert (await client.get("/v1/changes", params={"cursor": page["cursor"]})).json()["live"]


async def test_filters(kafka_settings: KafkaSettings, database_url: str) -> None:
    records = [
        ("marketing", 0, body(1, who={"user_id": "u1"})),
        ("marketing", 0, body(2, "lead_qualified", who={"user_id": "u2", "account": "Acme"}, data={"channel": "fair"})),
        ("sales", 0, body(3, "opportunity_opened", who={"crm_lead": "c1"}, data={})),
    ]
    async with serving(database_url) as (url, hub), worker(kafka_settings, database_url):
        await until(lambda: _true(hub.position is not None))
        start = str(hub.position)
        await produce(kafka_settings, records)
        async with httpx.AsyncClient(base_url=url) as client:

            async def who(**filters: str) -> set[str]:
                page = (await client.get("/v1/changes", params={"cursor": start, **filters})).json()
                return {one["value"] for change in page["changes"] for one in change["journey"]["identifiers"]}

            async def all_came() -> bool:
                return await who() == {"u1", "u2", "c1"}

            await until(all_came)
            assert await who(department="sales") == {"u2", "c1"}
            assert await who(department="marketing") == {"u1", "u2"}
            assert await who(stage="opportunity") == {"c1"}
            assert await who(account="Acme") == {"u2"}
            assert await who(journey="user_id:u1") == {"u1"}
            assert await who(kind="merged") == set()
            assert (await client.get("/v1/changes", params={"stage": "none"})).status_code == 422
            assert (await client.get("/v1/changes", params={"account": "null"})).status_code == 422
            assert (await client.get("/v1/changes", params={"journey": "user_id:nobody"})).status_code == 404
            assert (await client.get("/v1/changes", params={"cursor": "zzz"})).status_code == 422


async def test_before_any_worker_has_run_it_says_so(database_url: str) -> None:
    async with serving(database_url) as (url, _), httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/v1/changes")
        assert answer.status_code == 503
        assert "tandem work" in answer.json()["detail"]


STAGES = st.none() | st.integers(0, len(RULES.names) - 1)
ACCOUNTS = st.sampled_from(["acme.com", "b.org", "c.net"])
IDS = st.sampled_from([uuid.UUID(int=n) for n in range(4)])
JOURNEYS = st.builds(
    lambda accounts: FeedJourney(
        Summary(uuid.UUID(int=1), 1, 0, 0, [], 0, 0, None, None, None, None, 0, {}), accounts, b""
    ),
    st.lists(ACCOUNTS, max_size=2),
)
CHANGES = st.builds(
    FeedChange,
    seq=st.just(1),
    committed_at=st.none(),
    journey_id=IDS,
    kind=st.integers(0, 8),
    cause=st.integers(0, 2),
    related=st.none() | IDS,
    stage_from=STAGES,
    stage_to=STAGES,
    journey=st.none() | JOURNEYS,
    detail=st.none(),
)
INTERESTS = st.builds(
    Interest,
    stages=st.none() | st.frozensets(st.integers(0, len(RULES.names) - 1), max_size=3),
    journey=st.none() | IDS,
    account=st.none() | ACCOUNTS,
    kind=st.none() | st.integers(0, 4),
)


@given(change=CHANGES, interest=INTERESTS)
@settings(max_examples=2_000)
def test_whoever_wants_a_change_is_found(change: FeedChange, interest: Interest) -> None:
    if interest.wants(change) and change.journey is not None:
        assert topics_of(change) & set(interest.topics)


@given(st.uuids(), st.integers(0, 2**63 - 1), st.none() | st.uuids())
def test_a_cursor_is_read_as_it_was_written(epoch: uuid.UUID, seq: int, after: uuid.UUID | None) -> None:
    assert parse_cursor(str(Cursor(epoch, seq, after))) == Cursor(epoch, seq, after)


@given(st.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    try:
        assert str(parse_cursor(text)).rstrip("=") == text.rstrip("=")
    except InvalidCursor:
        return


async def test_what_a_stream_tells_keeps_to_its_contract(kafka_settings: KafkaSettings, database_url: str) -> None:
    description = create_app(database_url=database_url, kafka=None).openapi()
    success = description["paths"]["/v1/changes"]["get"]["responses"]["200"]["content"]
    contracts = success["text/event-stream"]["x-events"]
    await produce(kafka_settings, [("marketing", 0, body(1, who={"user_id": "ana"}))])
    await project(kafka_settings, database_url, 1)
    seen = set[str]()

    async def check_until(told: AsyncIterator[Told], event: str) -> None:
        while event not in seen:
            one = await anext(told)
            check_body(description, contracts[one.event], orjson.dumps(one.data))
            seen.add(one.event)

    async with serving(database_url) as (url, _), listening(url, snapshot="true") as told:
        await check_until(told, "live")
        await produce(kafka_settings, [("marketing", 0, body(2, "lead_qualified", who={"user_id": "ana"}))])
        await project(kafka_settings, database_url, 2)
        await check_until(told, "change")
    assert seen >= {"journey", "live", "change"}
