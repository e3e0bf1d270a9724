"""What is stored of one person, for a data-subject request."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import orjson

from projections.identifiers import key_at
from projections.playbook.model import Rules
from projections.text import id_text, time_text
from projections.views.journey import journey_view
from schemas.errors import TandemError
from store.identity import load_tied, places_of
from store.partitions import owners
from store.reads import ReadFilter, list_reads
from streams.engine.erasing import ArchivedEvent, stored_naming

_MOST_READS = 100_000


class NobodyNamed(TandemError):
    """No event has named the identifier."""


async def export_person(
    connection: asyncpg.Connection, rules: Rules, key: bytes, named: str, at: int
) -> dict[str, Any]:
    """The journey, every archived event that names one of its identifiers, and who read of it. Raises NobodyNamed.

    Events of others that name the person are in it, as they were sent: look through it before you give it away. The
    connection gives uuid values as 16 raw bytes. `at` is microseconds since 1970 UTC.
    """
    workspace = await load_tied(connection, rules, [key])
    releases = workspace.register.releases
    journey = workspace.journey_of(key_at(key, 2**62, releases))
    if journey is None:
        raise NobodyNamed(f"no event has named {named}: nothing is stored of it")
    stored = await stored_naming(connection, [journey], await owners(connection), rules, nobodys=True)
    own = [one for one in stored if _names(one, journey.identifiers.keys(), releases)]
    own.sort(key=lambda one: (one.event.occurred_at, one.event.id, one.event.source))
    places = await places_of(connection, {one.archived.partition_id for one in own})
    found = []
    for number, one in enumerate(own):
        place = places[one.archived.partition_id]
        found.append(
            {
                "occurred_at": time_text(one.event.occurred_at),
                "received_at": one.archived.received_at,
                "recorded_at": time_text(one.archived.recorded_at),
                "topic": place.topic,
                "partition": place.partition,
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
        "events": found,
        "reads": [
            {"read_at": one.read_at.isoformat(), "reader": one.reader, "role": one.role, "endpoint": one.endpoint}
            for one in reads
        ],
        "journey_id": id_text(journey.journey_id),
    }


def _names(one: ArchivedEvent, keys: Any, releases: dict[bytes, list[int]]) -> bool:
    at = one.event.occurred_at
    return one.subject is not None and any(key_at(person.key, at, releases) in keys for person in one.subject.persons)
