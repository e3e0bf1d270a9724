"""Subscribing with the SDK: cuts are mended; who keeps the cursor with the data has each change exactly once."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.feed.hub import Hub
from store.feed import prune_changes
from streams.kafka import KafkaSettings
from tandem import ApiError, AsyncClient, Change, FeedReset, FollowedTwice, Identifier, NotFound, feed, follow
from tests.feeds import begin, fill, serving
from tests.proxy import cutting
from tests.sse import CHANGE, EAGER, STREAM, answering, frame
from tests.support import body, counts, produce, until, worker


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await begin(connection)
    yield connection
    await connection.close()


async def first(changes: AsyncIterator[Change], number: int) -> list[Change]:
    """So many changes."""
    return [await anext(changes) for _ in range(number)]


async def test_changes_come_through_a_line_that_is_cut_at_random_bytes(
    database_url: str, database: asyncpg.Connection
) -> None:
    chance = random.Random(20)
    async with (
        serving(database_url) as (url, hub),
        cutting(lambda: url, lambda: chance.randrange(15_000)) as (line, cuts),
        AsyncClient(line, jitter=EAGER) as client,
    ):
        start = str(hub.position)
        for number in (1, 700, 20, 3_000, 1_500):
            await fill(database, number)
        total = await database.fetchval("SELECT feed_seq FROM projection")
        following = client.subscribe(cursor=start)
        async with aclosing(aiter(following)) as changes:
            found = await first(changes, total)
            writing = asyncio.create_task(fill(database, 1))
            found += await first(changes, 1)
            await writing
            print(f"{len(cuts)} cuts, {total + 1} changes, seed 20")
            assert following.cursor == found[-1].cursor
    assert [change.seq for change in found] == list(range(1, total + 2))
    assert len(cuts) > 100


async def test_it_goes_on_from_the_cursor_of_the_last_change_that_was_taken(
    database_url: str, database: asyncpg.Connection
) -> None:
    await fill(database, 900)
    async with serving(database_url) as (_, hub):
        start = str(hub.position._replace(seq=0))
    seqs: list[int | None] = []
    async with serving(database_url) as (url, _), AsyncClient(url) as client:
        for number in (1, 5, 499, 395):
            following = client.subscribe(cursor=start)
            async with aclosing(aiter(following)) as changes:
                seqs += [change.seq for change in await first(changes, number)]
                assert following.cursor is not None
                start = following.cursor
    assert seqs == list(range(1, 901))


async def test_it_waits_for_the_first_worker_and_for_an_api_that_restarts(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    where = ["http://127.0.0.1:1"]
    async with (
        cutting(lambda: where[0], lambda: 1 << 40) as (line, _),
        AsyncClient(line, jitter=EAGER) as client,
        aclosing(aiter(client.subscribe())) as changes,
    ):
        coming = asyncio.ensure_future(anext(changes))
        for number in range(3):
            async with serving(database_url) as (url, hub):
                where[0] = url
                if number == 0:
                    async with httpx.AsyncClient() as plain:
                        assert (await plain.get(f"{url}/v1/changes")).status_code == 503
                    await begin(connection)
                await until(partial(_subscribed, hub))
                await fill(connection, 1)
                assert (await coming).seq == number + 1
                coming = asyncio.ensure_future(anext(changes))
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    await connection.close()


async def _subscribed(hub: Hub) -> bool:
    return bool(hub._everybody())


async def _true(value: object) -> bool:
    return bool(value)


@pytest.mark.parametrize(
    ("filters", "status"),
    [({"stage": "none"}, 422), ({"cursor": "zzz"}, 422), ({"cursor": "two\nlines"}, 422)],
)
async def test_what_does_not_pass_is_said_at_once(
    database_url: str, database: asyncpg.Connection, filters: dict[str, Any], status: int
) -> None:
    async with serving(database_url) as (url, _), AsyncClient(url) as client:
        with pytest.raises(ApiError) as caught:
            await anext(aiter(client.subscribe(**filters)))
        assert caught.value.status == status


async def test_who_is_unknown_and_what_is_no_api_is_said_at_once(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with serving(database_url) as (url, _):
        async with AsyncClient(url) as client:
            with pytest.raises(NotFound):
                await anext(aiter(client.subscribe(journey=Identifier("user_id", "nobody"))))
        async with AsyncClient(f"{url}/docs?") as client:
            with pytest.raises(ApiError):
                await anext(aiter(client.subscribe()))
    async with AsyncClient("htp://127.0.0.1") as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await anext(aiter(client.subscribe()))


async def test_a_line_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SILENCE", 0.2)
    async with (
        answering(STREAM, STREAM + frame("progress", {}), STREAM + frame("change", CHANGE)) as (url, came),
        AsyncClient(url, jitter=EAGER) as client,
    ):
        assert (await anext(aiter(client.subscribe()))).seq == 1
        assert len(came) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_who_may_not_read_is_told_at_once(status: int) -> None:
    refusal = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    async with answering(refusal) as (url, came), AsyncClient(url) as client:
        with pytest.raises(ApiError) as caught:
            await anext(aiter(client.subscribe()))
        assert (caught.value.status, len(came)) == (status, 1)


async def test_it_waits_for_as_long_as_the_api_asks() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
    async with (
        answering(busy, STREAM + frame("change", CHANGE)) as (url, came),
        AsyncClient(url, jitter=EAGER) as client,
    ):
        assert (await anext(aiter(client.subscribe()))).seq == 1
        assert came[1] - came[0] >= 1


async def test_what_came_before_a_reset_is_not_lost() -> None:
    told = STREAM + frame("change", CHANGE) + b'id\nevent: reset\ndata: {"reason": "other_epoch"}\n\n'
    async with answering(told) as (url, _), AsyncClient(url) as client:
        following = client.subscribe(cursor="a")
        async with aclosing(aiter(following)) as changes:
            assert (await anext(changes)).seq == 1
            with pytest.raises(FeedReset, match="other_epoch"):
                await anext(changes)


@given(
    texts=st.lists(st.text(max_size=5) | st.sampled_from(["\u2028", "\x85", "\\n\\n: "]), max_size=5),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_events_are_the_same_however_they_are_cut_up(texts: list[str], sizes: list[int]) -> None:
    sent = b"retry: 1\n\n:\n\n" + b"".join(frame("journey", text, str(number)) for number, text in enumerate(texts))

    received, found, start, turn = feed.Messages(), list[feed.Message](), 0, 0
    while start < len(sent):
        size = sizes[turn % len(sizes)]
        found += received.take(sent[start : start + size])
        start, turn = start + size, turn + 1
    assert [(one.event, one.cursor, json.loads(one.data)) for one in found] == [
        ("journey", str(number), text) for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("reason", ["too_old", "other_epoch", "ahead"])
async def test_one_is_told_when_one_cannot_go_on(database_url: str, database: asyncpg.Connection, reason: str) -> None:
    await fill(database, 100)
    async with serving(database_url) as (url, hub), AsyncClient(url) as client:
        cursor = str(hub.position._replace(seq=101 if reason == "ahead" else 50))
        if reason == "too_old":
            assert await prune_changes(database, datetime.now(UTC), 90) == 90
        elif reason == "other_epoch":
            await database.execute("UPDATE projection SET feed_epoch = $1", uuid.uuid4())
        with pytest.raises(FeedReset) as caught:
            await anext(aiter(client.subscribe(cursor=cursor)))
        assert caught.value.reason == reason


# Following: a table of journeys, and a log in which nothing keeps a change from being written twice.

_LOG = "CREATE TABLE IF NOT EXISTS log (number serial, kind text, seq bigint, journey_id uuid, version integer)"


async def write(connection: asyncpg.Connection, change: Change) -> None:
    version = change.journey and change.journey.version
    row = (change.kind, change.seq, change.journey_id, version)
    await connection.execute("INSERT INTO log (kind, seq, journey_id, version) VALUES ($1, $2, $3, $4)", *row)


@asynccontextmanager
async def follower(url: str, database_url: str) -> AsyncIterator["asyncio.Task[None]"]:
    """Follows until it leaves; whatever it was doing is then rolled back, as when its process is killed."""

    async def run() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            async with AsyncClient(url, jitter=EAGER) as client:
                await follow(client, connection, name="crm", apply=write)
        finally:
            connection.terminate()

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def table_of(log: list[asyncpg.Record]) -> dict[str, int]:
    """What a subscriber has that did as the log says."""
    table: dict[str, int] = {}
    doubted: set[str] = set()
    for row in log:
        if row["kind"] == "reset":
            doubted = set(table)
        elif row["kind"] == "live":
            table = {key: version for key, version in table.items() if key not in doubted}
        elif row["version"] is None:
            table.pop(str(row["journey_id"]), None)
        else:
            table[str(row["journey_id"])] = row["version"]
            doubted.discard(str(row["journey_id"]))
    return table


async def test_a_follower_that_is_cut_off_and_ended_at_random_has_each_change_once(
    kafka_settings: KafkaSettings, database_url: str
) -> None:
    """Through a line that is cut at random bytes, ended at random moments: one snapshot, and each change after it."""
    chance = random.Random(7)
    connection = await asyncpg.connect(database_url)
    await connection.execute(_LOG)
    ends = 0

    async def rows() -> int:
        return int(await connection.fetchval("SELECT count(*) FROM log"))

    async def head() -> int:
        return int(await connection.fetchval("SELECT feed_seq FROM projection"))

    async def until_ended_often(line: str, done: Callable[[], Awaitable[bool]]) -> None:
        nonlocal ends
        while not await done():
            before = await rows()

            async def moved(before: int = before) -> bool:
                return await rows() > before or await done()

            async with follower(line, database_url):
                await until(moved)
                await asyncio.sleep(chance.random() * 0.03)
            ends += 1

    async def caught_up() -> bool:
        read = (await counts(connection))["read"]
        return read == 3_100 and await connection.fetchval("SELECT max(seq) FROM log") == await head()

    await produce(kafka_settings, [("marketing", n % 3, body(n, who={"user_id": f"u{n}"})) for n in range(1_300)])
    async with (
        worker(kafka_settings, database_url),
        serving(database_url) as (url, hub),
        cutting(lambda: url, lambda: chance.randrange(200_000)) as (line, cuts),
    ):
        await until(lambda: _read(connection, 1_300))
        snapshot_of = await head()
        await until(lambda: _true(hub.position is not None and hub.position.seq == snapshot_of))
        await until_ended_often(line, lambda: _complete(connection))
        await produce(kafka_settings, _more())
        await until_ended_often(line, caught_up)
    found = await connection.fetch("SELECT * FROM log ORDER BY number")
    expected = await connection.fetch("SELECT seq FROM changes WHERE seq > $1 ORDER BY seq", snapshot_of)
    print(f"{len(cuts)} cuts, {ends} ends, {len(found)} rows, seed 7")
    assert [row["kind"] for row in found[:1_302]] == ["reset", *["snapshot"] * 1_300, "live"]
    assert len({row["journey_id"] for row in found[1:1_301]}) == 1_300
    assert [row["seq"] for row in found[1_302:]] == [row["seq"] for row in expected]
    assert table_of(found) == await journeys(connection)
    assert await connection.fetchval("SELECT count(*) FROM changes WHERE kind = 2") == 100, "nobody was merged"
    assert ends > 10
    await connection.close()


def _more() -> list[tuple[str, int, bytes]]:
    """News of old and new people, and merges."""
    seen = [{"user_id": f"u{n % 1_900}"} if n % 3 else {"anonymous_id": f"d{n % 300}"} for n in range(1_300, 3_000)]
    views = [("marketing", n % 3, body(1_300 + n, who=who)) for n, who in enumerate(seen)]
    whos = [{"user_id": f"u{n}", "anonymous_id": f"d{n}"} for n in range(0, 300, 3)]
    logins = [("marketing", n % 3, body(3_000 + n, "identified", who=who, data={})) for n, who in enumerate(whos)]
    return [*views, *logins]


async def _read(connection: asyncpg.Connection, records: int) -> bool:
    return (await counts(connection))["read"] == records


async def journeys(connection: asyncpg.Connection) -> dict[str, int]:
    return {str(row["journey_id"]): row["events"] for row in await connection.fetch("SELECT * FROM journeys")}


async def test_two_cannot_follow_under_one_name(database_url: str, database: asyncpg.Connection) -> None:
    await database.execute(_LOG)
    async with serving(database_url) as (url, hub), follower(url, database_url) as one:
        await until(lambda: _complete(database))
        async with follower(url, database_url) as other:
            await until(lambda: _true(len(hub._everybody()) == 2))
            await fill(database, 1)
            done, going_on = await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(FollowedTwice, match="'crm'"):
                done.pop().result()
            await fill(database, 1)
            await until(lambda: _logged(database, [1, 2]))
            assert not going_on.pop().done()


async def _logged(database: asyncpg.Connection, seqs: list[int]) -> bool:
    found = await database.fetch("SELECT seq FROM log WHERE seq IS NOT NULL ORDER BY number")
    return [row["seq"] for row in found] == seqs


@pytest.mark.parametrize("reason", ["too_old", "other_epoch"])
async def test_a_follower_that_cannot_go_on_takes_a_snapshot(
    kafka_settings: KafkaSettings, database_url: str, reason: str
) -> None:
    """Between two runs of the follower a journey ends, and the feed forgets that it did."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_LOG)

    async def agrees() -> bool:
        table = table_of(await connection.fetch("SELECT * FROM log ORDER BY number"))
        return bool(table) and table == await journeys(connection)

    await produce(kafka_settings, [("marketing", n % 3, body(n, who={"user_id": f"u{n}"})) for n in range(10)])
    await produce(kafka_settings, [("marketing", 0, body(10, who={"anonymous_id": "d"}))])
    async with worker(kafka_settings, database_url), serving(database_url) as (url, _):
        await until(lambda: _read(connection, 11))
        async with follower(url, database_url):
            await until(agrees)
        login = body(11, "identified", who={"user_id": "u1", "anonymous_id": "d"}, data={})
        await produce(kafka_settings, [("marketing", 0, login)])
        await until(lambda: _read(connection, 12))
        if reason == "too_old":
            await prune_changes(connection, datetime.now(UTC), 1_000)
        else:
            await connection.execute("UPDATE projection SET feed_epoch = $1", uuid.uuid4())
        async with follower(url, database_url):
            await until(agrees)
        kinds = [row["kind"] for row in await connection.fetch("SELECT kind FROM log ORDER BY number")]
    assert kinds.count("reset") >= 2  # once more where the API itself had not seen the new epoch yet
    assert len(await journeys(connection)) == 10
    await connection.close()


async def test_what_an_application_cannot_apply_is_not_passed_over(
    database_url: str, database: asyncpg.Connection
) -> None:
    await database.execute(_LOG)

    async def stumble(connection: asyncpg.Connection, change: Change) -> None:
        await write(connection, change)
        if change.seq == 3:
            raise ZeroDivisionError

    async with serving(database_url) as (url, _), AsyncClient(url) as client:
        async with follower(url, database_url):
            await until(lambda: _complete(database))
        await fill(database, 5)
        own = await asyncpg.connect(database_url)
        with pytest.raises(ZeroDivisionError):
            await follow(client, own, name="crm", apply=stumble)
        await own.close()
        async with follower(url, database_url):
            await until(lambda: _logged(database, [1, 2, 3, 4, 5]))


async def _complete(database: asyncpg.Connection) -> bool:
    return bool(await database.fetchval("SELECT count(*) FROM log WHERE kind = 'live'"))
