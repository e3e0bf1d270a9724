"""What the workload must come to in a peer's table, and whether it has.

A peer that trusts the producers' keys has journeys without the identifier's type; the workload's values are one of a
kind without it, so journeys are compared by value.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import asyncpg
import msgspec

from bench.peers.task import POINTS, journey_of
from bench.workload import Record

_KEPT = "SELECT journey, events, score, channels::text FROM journeys"


class WrongResult(Exception):
    """A peer's journeys are not those of the workload: its rate means nothing."""


class Kept(NamedTuple):
    """What a peer keeps of one journey, as far as all peers keep it."""

    events: int
    score: int
    channels: dict[str, int]


def expected(records: Iterable[Record]) -> dict[str, Kept]:
    """Journey -> what a peer must keep, computed apart from any broker."""
    events: Counter[str] = Counter()
    scores: Counter[str] = Counter()
    channels: dict[str, Counter[str]] = {}
    for record in records:
        event = msgspec.json.decode(record.value)
        journey = _value(journey_of(event))
        events[journey] += 1
        scores[journey] += POINTS.get(event["type"], 0)
        channels.setdefault(journey, Counter())[event["data"]["channel"]] += 1
    return {journey: Kept(events[journey], scores[journey], dict(channels[journey])) for journey in events}


async def verify(database_url: str, wanted: dict[str, Kept]) -> None:
    """Raises WrongResult unless the table holds these journeys, to the last count."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(_KEPT)
    await connection.close()
    found = {_value(row[0]): Kept(row[1], row[2], msgspec.json.decode(row[3])) for row in rows}
    wrong = [journey for journey in wanted.keys() | found.keys() if wanted.get(journey) != found.get(journey)]
    if wrong:
        first = min(wrong)
        raise WrongResult(
            f"{len(wrong):,} journeys are wrong, the first is {first}: {found.get(first)}, not {wanted.get(first)}"
        )


def _value(journey: str) -> str:
    return journey.rpartition(":")[2]
