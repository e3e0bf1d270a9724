"""When a system's effects are all in PostgreSQL, without asking so often that the answer slows it down."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import asyncpg
import psutil

from deploy.embedded.process import last_line

_BEGUN = "SELECT EXISTS (SELECT FROM journeys)"
_OFTEN, _SELDOM = 0.1, 2.0  #: seconds between two questions, near the ends of a run and amid it


class PeerEnded(Exception):
    """A peer ended before its work was done; the message carries its last words."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a system was."""

    events_per_s: float
    second_half_per_s: float  #: from the first time that half of the events were seen to be in place; else the whole
    cpu_us_per_event: float  #: of the system, the broker and the database together; other programs' load matters less


async def until_begun(
    connection: asyncpg.Connection, process: "Popen[bytes]", log: Path, ready: Callable[[], bool]
) -> None:
    """Wait until the peer's first row is there and the peer says that it is ready. Raises PeerEnded."""
    while not (ready() and await connection.fetchval(_BEGUN)):
        _check(process, log)
        await asyncio.sleep(0.02)


async def pace(connection: asyncpg.Connection, applied: str, number: int, process: "Popen[bytes]", log: Path) -> Pace:
    """Measure from now until `number` events are in place, by the answer to the query `applied`. Raises PeerEnded.

    What was in place before counts too: that is to the benefit of a system that starts slowly.
    """
    used, start = _cpu_seconds(), time.perf_counter()
    now = start
    half: tuple[float, int] | None = None
    while (found := await connection.fetchval(applied)) < number:
        _check(process, log)
        if half is None and number / 2 <= found < number * 3 / 4:  # later, too little is left to tell a rate
            half = now, found
        await asyncio.sleep(_pause(now - start, found, number))
        now = time.perf_counter()
    at, before = half if half is not None else (start, 0)
    cpu = (_cpu_seconds() - used) / number * 1_000_000
    return Pace(number / (now - start), (number - before) / (now - at), cpu)


def _pause(seconds: float, applied: int, number: int) -> float:
    """A quarter of the time that has passed or is left at the pace so far: seldom in the middle, often at the ends."""
    left = seconds * (number - applied) / max(applied, 1)
    return min(max(min(seconds, left) / 4, _OFTEN), _SELDOM)


def _cpu_seconds() -> float:
    """Used so far by all programs that this one has started, and by their children that have ended."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def _check(process: "Popen[bytes]", log: Path) -> None:
    if process.poll() is not None:
        raise PeerEnded(f"exit code {process.returncode}: {last_line(log)}")
