"""Subscribing without an event loop: the same mended feed, and a connection that ends when the loop is left."""

import asyncio
import random
from itertools import islice

import asyncpg
import pytest

from tandem import ApiError, Change, Client, FeedReset
from tests.feeds import begin, fill, serving
from tests.proxy import cutting
from tests.sse import CHANGE, EAGER, STREAM, answering, frame


def take(address: str, number: int, cursor: str | None = None) -> list[Change]:
    """So many changes, and the connection is closed."""
    with Client(address, jitter=EAGER) as client:
        return list(islice(client.subscribe(cursor=cursor), number))


async def test_changes_come_through_a_line_that_is_cut_at_random_bytes(database_url: str) -> None:
    chance = random.Random(21)
    database = await asyncpg.connect(database_url)
    await begin(database)
    async with (
        serving(database_url) as (url, hub),
        cutting(lambda: url, lambda: chance.randrange(15_000)) as (line, cuts),
    ):
        start = str(hub.position)
        for number in (1, 700, 20, 800):
            await fill(database, number)
        total = await database.fetchval("SELECT feed_seq FROM projection")
        found = await asyncio.to_thread(take, line, total, start)
        print(f"{len(cuts)} cuts, {total} changes, seed 21")
    await database.close()
    assert [change.seq for change in found] == list(range(1, total + 1))
    assert len(cuts) > 20


@pytest.mark.parametrize("leave", ["break", "error"])
async def test_who_leaves_the_loop_is_disconnected_and_goes_on_from_the_cursor(leave: str) -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + frame("change", CHANGE, "c1") + frame("change", CHANGE, "c2"))
        await reader.read()
        left.set()
        writer.close()

    def first(client: Client) -> str | None:
        subscription = client.subscribe()
        try:
            for change in subscription:
                if leave == "error":
                    raise KeyError(change.cursor)
                break
        except KeyError:
            pass
        return subscription.cursor

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await asyncio.to_thread(first, client) == "c1"
        await asyncio.wait_for(left.wait(), 5)  # the client is still open: the loop's end ended the connection
        client.close()


async def test_what_does_not_pass_is_said_at_once() -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    async with answering(refusal) as (url, came):
        with pytest.raises(ApiError) as caught:
            await asyncio.to_thread(take, url, 1)
        assert (caught.value.status, len(came)) == (403, 1)
    told = STREAM + b'id\nevent: reset\ndata: {"reason": "too_old"}\n\n'
    async with answering(told) as (url, _):
        with pytest.raises(FeedReset, match="too_old"):
            await asyncio.to_thread(take, url, 1, "a")


async def test_it_waits_for_as_long_as_the_api_asks() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
    async with answering(busy, STREAM + frame("change", CHANGE)) as (url, came):
        assert (await asyncio.to_thread(take, url, 1))[0].seq == 1
        assert came[1] - came[0] >= 1
