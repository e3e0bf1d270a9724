"""`tandem watch`: it goes on through restarts of the API, ends cleanly, and says from where to go on."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from cli.render.changes import line_of
from tandem import Change
from tests.feeds import begin, fill, serving
from tests.proxy import cutting
from tests.support import until


@asynccontextmanager
async def watching(api: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from cli.main import main; main()", "watch", *arguments),
        env={**os.environ, "TANDEM_API": api},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def lines(process: asyncio.subprocess.Process, number: int) -> list[str]:
    assert process.stdout is not None
    return [(await process.stdout.readline()).decode() for _ in range(number)]


async def ended(process: asyncio.subprocess.Process, code: int) -> str:
    """What it said on standard error, once it has ended with this code."""
    _, said = await process.communicate()
    assert process.returncode == code, said.decode()
    assert "Traceback" not in said.decode()
    return said.decode()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await begin(connection)
    yield connection
    await connection.close()


async def test_through_restarts_and_on_from_its_cursor(database_url: str, database: asyncpg.Connection) -> None:
    where = [""]

    async def hear(process: asyncio.subprocess.Process, hub: Any) -> int:
        """The number of a change that is made while the command listens."""
        await until(lambda: _listens(hub))
        await fill(database, 1)
        return int(json.loads((await lines(process, 1))[0])["seq"])

    async with cutting(lambda: where[0], lambda: 1 << 40) as (line, _), AsyncExitStack() as stack:
        async with serving(database_url) as (where[0], hub):
            process = await stack.enter_async_context(watching(line, "--json"))
            seqs = [await hear(process, hub)]
        for _ in range(2):
            async with serving(database_url) as (where[0], hub):
                seqs.append(await hear(process, hub))
        assert seqs == [1, 2, 3]
        process.send_signal(signal.SIGINT)
        *cuts, go_on = (await ended(process, 0)).splitlines()
        assert cuts
        assert all("the change feed was cut" in cut for cut in cuts)
        await fill(database, 1)
        async with serving(database_url) as (where[0], _), watching(line, *go_on.split()[2:]) as process:
            [text] = await lines(process, 1)
            assert "  changed   journey:" in text
            assert "  known" in text
            process.send_signal(signal.SIGTERM)
            await ended(process, 0)


async def _listens(hub: Any) -> bool:
    return bool(hub._everybody())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--cursor", "zzz"), "cursor"),
        (("--cursor", "zzz", "--snapshot"), "one of them"),
        (("--department", "law"), "department"),
        (("--stage", "none"), "visitor"),
        (("--journey", "user_id:nobody"), "user_id:nobody"),
    ],
)
async def test_mistakes_get_one_line(
    database_url: str, database: asyncpg.Connection, arguments: tuple[str, ...], word: str
) -> None:
    async with serving(database_url) as (url, _), watching(url, *arguments) as process:
        [line] = (await ended(process, 1)).splitlines()
        assert line.startswith("tandem: ")
        assert word in line


async def test_a_cursor_from_which_one_cannot_go_on(database_url: str, database: asyncpg.Connection) -> None:
    async with (
        serving(database_url) as (url, hub),
        watching(url, "--cursor", str(hub.position._replace(seq=9))) as process,
    ):
        assert "--snapshot" in await ended(process, 1)


JOURNEY = {
    "identifiers": [{"type": "anonymous_id", "value": "d1"}, {"type": "email", "value": "ana\x1b[2J@x.org"}],
    "stage": "engaged",
    "owner": "rosa",
    "account": None,
    "last_seen": "2026-01-01T00:00:00.000000Z",
}
AT = "2026-11-25T19:20:00.000000Z"


def _change(**fields: Any) -> Change:
    """A change as it is decoded: what is in it is the API's word, not a type checker's."""
    return Change(**fields)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            _change(kind="changed", cursor="c", at=AT, stage_from="known", stage_to="engaged", journey=JOURNEY),
            "2026-11-25 19:20:00  changed   email:ana?[2J@x.org  known -> engaged  owner rosa",
        ),
        (
            _change(kind="merged", cursor="c", at=AT, journey_id="a", related="b", stage_from="known"),
            "2026-11-25 19:20:00  merged    journey:a into journey:b  known ->",
        ),
        (
            _change(kind="changed", cursor="c", at=AT, cause="time", stage_from="customer", stage_to="at-risk"),
            "2026-11-25 19:20:00  changed   journey:None  customer -> at-risk (silence)",
        ),
        (
            _change(kind="snapshot", cursor="c", journey=JOURNEY),
            "2026-01-01 00:00:00  snapshot  email:ana?[2J@x.org  engaged  owner rosa",
        ),
        (
            _change(
                kind="handoff",
                cursor="c",
                at=AT,
                journey=JOURNEY,
                detail={"handoff": "h", "kind": "qualified-lead", "team": "sales", "what": "touch-breached"},
            ),
            "2026-11-25 19:20:00  handoff   email:ana?[2J@x.org  qualified-lead touch-breached (sales)  owner rosa",
        ),
        (
            _change(kind="entered", cursor="c", at=AT, journey=JOURNEY, detail={"audience": "nurture"}),
            "2026-11-25 19:20:00  entered   email:ana?[2J@x.org  nurture  owner rosa",
        ),
        (
            _change(
                kind="credit",
                cursor="c",
                at=AT,
                journey=JOURNEY,
                detail={"lines": [{"channel": "fair", "campaign": None, "currency": "EUR", "amount": -5}]},
            ),
            "2026-11-25 19:20:00  credit    email:ana?[2J@x.org  -5 EUR fair  owner rosa",
        ),
        (_change(kind="live", cursor="c"), "that was all; changes follow"),
    ],
    ids=lambda value: value.kind if isinstance(value, Change) else "",
)
def test_a_change_is_one_line(change: Change, line: str) -> None:
    assert line_of(change) == line
