"""The README's ways to subscribe, run as they are written: a change comes out."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import KafkaSettings
from tests.feeds import serving
from tests.support import body, produce, until, worker

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("sh", SNIPPETS / "subscribe.sh"), '"stage_to":"marketing-qualified"'),
        ((sys.executable, SNIPPETS / "subscribe.py"), "-> marketing-qualified"),
    ],
    ids=["sse", "python"],
)
async def test_a_change_comes_out(
    kafka_settings: KafkaSettings, database_url: str, command: tuple[Any, ...], expected: str
) -> None:
    async with worker(kafka_settings, database_url), serving(database_url) as (url, hub):
        await until(lambda: _true(hub.position is not None))
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "TANDEM_API": url},
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the shell's curl ends with it
        )
        assert process.stdout is not None
        try:
            await until(lambda: _true(hub._everybody()))
            lead = body(1, "lead_qualified", who={"email": "ada@example.com"}, data={})
            await produce(kafka_settings, [("marketing", 0, lead)])
            async with asyncio.timeout(30):
                while expected not in (line := (await process.stdout.readline()).decode()):
                    assert line, "it ended"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


async def _true(value: object) -> bool:
    return bool(value)
