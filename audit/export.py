"""Export: all that is stored about one person, for a data-subject request."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import orjson

from projections.identifiers import key_at, newest_key
from projections.playbook.rules import Rules
from projections.text import id_text, time_text
from projections.views.journey import journey_view
from schemas.errors import TandemError
from store.identity import load_tied
from store.partitions import event_partitions, read_departments
from store.reads import ReadFilter, list_reads
from streams.engine.archived_events import ArchivedEvent, EventArchive

_MOST_READS = 100_000


class NobodyNamed(TandemError):
    """No event has named the identifier. Check the spelling; write it as type:value."""


async def export_person(
    connection: asyncpg.Connection, rules: Rules, key: bytes, named: str, at: int
) -> dict[str, Any]:
    """The journey, every archived event that names one of its identifiers, and who read about it. Raises NobodyNamed.

    It includes others' events that name the person, as they were sent: review it before you hand it out. The
    connection gives uuid values as 16 raw bytes. `at` is microseconds since 1970 UTC.
    """
    workspace = await load_tied(connection, rules, [key])
    releases = workspace.register.releases
    journey = workspace.journey_of(newest_key(key, releases))
    if journey is None:
        raise NobodyNamed(f"no event has named {named}: nothing is stored about it")
    archive = EventArchive(connection, await read_departments(connection), rules)
    stored = await archive.naming([journey], nobodys=True)
    own = [one for one in stored if _names(one, journey.identifiers.keys(), releases)]
    own.sort(key=lambda one: (one.event.occurred_at, one.event.id, one.event.source))
    partitions = await event_partitions(connection, {one.archived.partition_id for one in own})
    events = []
    for number, one in enumerate(own):
        partition = partitions[one.archived.partition_id]
        events.append(
            {
                "occurred_at": time_text(one.event.occurred_at),
                "received_at": one.archived.received_at,
                "recorded_at": time_text(one.archived.recorded_at),
                "topic": partition.topic,
                "partition": partition.partition,
                "offset": one.archived.offset,
                "event": orjson.loads(one.archived.value),
            }
        )
        if number % 1_000 == 0:
            await asyncio.sleep(0)
    reads = await list_reads(connection, ReadFilter(journeys=[journey.journey_id]), None, _MOST_READS)
    return {
        "person": named,
        "exported_at": time_text(at),
        "journey": msgspec.to_builtins(journey_view(journey, workspace.rules, at)),
        "events": events,
        "reads": [
            {"read_at": one.read_at.isoformat(), "reader": one.reader, "role": one.role, "endpoint": one.endpoint}
            for one in reads
        ],
        "journey_id": id_text(journey.journey_id),
    }


def _names(one: ArchivedEvent, keys: Any, releases: dict[bytes, list[int]]) -> bool:
    at = one.event.occurred_at
    return one.subject is not None and any(key_at(person.key, at, releases) in keys for person in one.subject.persons)
