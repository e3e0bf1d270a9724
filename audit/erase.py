"""Erase a person: what an erasure event names, and the proof afterwards that nothing is left.

The erasure itself is an event in the joint topic, like every other change: the projector applies it
(streams/engine/refolding.py), and so does every replay. docs/explanation/erasure.md has the rules.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from audit.progress import Progress
from projections.identifiers import identifier_key, key_at, later_key, newest_key
from projections.identity.erasure import ERASURE, Erased, Erasure, keyed_hash, name_of_secret
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.links import CONTESTED, Known
from projections.journey.sessions import SESSION_GAP
from projections.playbook.rules import Rules
from projections.text import time_text
from schemas.errors import TandemError
from store.archive import DamagedBlock, open_block
from store.erasure import all_blocks, erased_by, make_secret, tables_with
from store.identity import load_tied
from store.partitions import read_departments
from store.rebuild import holding
from streams.engine.archived_events import ArchivedEvent, EventArchive
from streams.engine.erasures import is_erased

SOURCE = "tandem-erase"
_MOST_EVENTS = 3_000  #: that name no identifier of the person's: they are listed in the event


class NotErasable(TandemError):
    """The identifier does not say who is to be erased. Name the person by an identifier of their own."""


class HeldBeside(TandemError):
    """Projections beside the live one have the person, too, and an erasure does not change them.

    Drop those that the message names, then erase.
    """


class NotErased(TandemError):
    """The erasure was not applied in time. See `tandem status`: it is published, and a worker will apply it."""


class Plan(NamedTuple):
    """What an erasure will name and remove."""

    journey_id: UUID
    identifiers: list[str]  #: type:value
    values: list[str]  #: of the identifiers; a scan must not find them afterwards
    events: int  #: of the person
    with_others: int  #: among them events that name somebody else's identifier, too: they are erased as well
    data: dict[str, Any]  #: of the event


async def plan(
    connection: asyncpg.Connection, rules: Rules, key: bytes, named: str, at: int, random: Callable[[int], bytes]
) -> Plan:
    """What erasing the person who has an identifier will do. `at`: microseconds since 1970 UTC.

    The connection gives uuid values as 16 raw bytes. Raises NotErasable or HeldBeside.
    """
    workspace = await load_tied(connection, rules, [key])
    register = workspace.register
    newest = newest_key(key, register.releases)
    journey = workspace.journey_of(newest)
    if journey is None:
        raise NotErasable(f"no event has named {named}: nothing is stored about it")
    if newest in register.quarantined or journey.contested:
        raise NotErasable(f"{named} is shared by several people: name the person by an identifier of their own")
    if beside := await holding(connection, sorted(journey.identifiers)):
        drops = "; ".join(f"tandem projections drop {name}" for name in beside)
        raise HeldBeside(
            f"projections beside the live one have {named}, too, and stay as they were built: drop them first "
            f"({drops}); a replay after the erasure builds them without the person"
        )
    secret = await make_secret(connection, random)
    subjects = sorted(journey.identifiers.keys() - register.quarantined)
    devices = {link.b for link in journey.refused if link.refused == CONTESTED} - journey.identifiers.keys()
    archive = EventArchive(connection, await read_departments(connection), rules)
    stored = await archive.naming(workspace.journeys.values(), nobodys=True)
    loose = _on_shared_devices(journey, stored, devices, register.releases)
    if len(loose) > _MOST_EVENTS:
        raise NotErasable(f"{len(loose)} events on shared devices are {named}'s: at most {_MOST_EVENTS} can be listed")
    data = {
        "secret": name_of_secret(secret),
        "subjects": [_subject(secret, journey.identifiers[one], register.releases) for one in subjects],
        "shared": [keyed_hash(secret, _base(workspace, one)) for one in sorted(devices)],
        "events": [f"{one.event.id.hex()} {one.event.source}" for one in loose],
    }
    erased = Erased(secret)
    erased.add(
        Erasure(
            order=(at, b"", ""),
            secret="",
            subjects=tuple(data["subjects"]),
            shared=(),
            events=tuple(one.key for one in loose),
            reason=None,
            by=None,
        )
    )
    gone = [one for one in stored if is_erased(erased, one.event, rules)]
    names = [journey.identifiers[one] for one in subjects]
    shared = sum(_names_others(one, {*subjects, *devices}, register.releases) for one in gone)
    return Plan(
        journey_id=UUID(bytes=journey.journey_id),
        identifiers=[f"{one.type}:{one.value}" for one in names],
        values=sorted({one.value for one in names}),
        events=len(gone),
        with_others=shared,
        data=data,
    )


def _subject(secret: bytes, known: Known, releases: Mapping[bytes, list[int]]) -> str:
    """The hash of an identifier, and since when it is the person's."""
    base = identifier_key(known.type, known.value)
    since = next((at for at in releases.get(base, ()) if later_key(base, at) == known.key), None)
    return keyed_hash(secret, base) + ("" if since is None else f"@{since}")


def _base(workspace: Workspace, key: bytes) -> bytes:
    journey = workspace.journey_of(key)
    assert journey is not None, "whoever a link ties is here"
    known = journey.identifiers[key]
    return identifier_key(known.type, known.value)


def _on_shared_devices(
    journey: Journey, stored: Iterable[ArchivedEvent], devices: set[bytes], releases: dict[bytes, list[int]]
) -> list[ArchivedEvent]:
    """Events that name a shared device only, and were the person's by their session.

    Two events of one half hour are of one session: see projections/journey/moments.py.
    """
    slots = {
        (moment.device, moment.at // SESSION_GAP)
        for moment in journey.moments
        if moment.device in devices and moment.anchor == moment.device and moment.claimed is None
    }
    events = []
    for one in stored:
        if one.subject is None or one.subject.named or len(one.subject.persons) > 1:
            continue
        at = one.event.occurred_at
        if (key_at(one.subject.persons[0].key, at, releases), at // SESSION_GAP) in slots:
            events.append(one)
    return events


def _names_others(one: ArchivedEvent, subjects: set[bytes], releases: dict[bytes, list[int]]) -> bool:
    at = one.event.occurred_at
    return one.subject is not None and any(
        key_at(person.key, at, releases) not in subjects for person in one.subject.persons
    )


def erasure_event(planned: Plan, id_: UUID, at: int, reason: str, by: str) -> bytes:
    """The event that erases. `at`: microseconds since 1970 UTC; what occurred up to then is erased."""
    return orjson.dumps(
        {
            "id": str(id_),
            "type": ERASURE,
            "version": 2,
            "source": SOURCE,
            "occurred_at": time_text(at),
            "identities": [],
            "data": planned.data | {"reason": reason, "by": by},
        }
    )


class Scan(NamedTuple):
    """The result of a search for a person's identifiers."""

    blocks: int  #: of the archive, opened and searched
    tables: int  #: searched as text
    found: list[str]  #: where something was found

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.found


async def scan(connection: asyncpg.Connection, values: list[str], progress: Progress) -> Scan:
    """Search all that is stored for the values of identifiers: the archive opened, everything else as text.

    Values of fewer than four characters are left out: they occur everywhere.
    """
    wanted = [value.lower().encode() for value in values if len(value) >= _SHORTEST]
    found, blocks = list[str](), 0
    async with aclosing(all_blocks(connection)) as pages:
        async for page, total in pages:
            for bucket, batch_id, payload in page:
                blocks += 1
                if _in_block(payload, wanted):
                    found.append(f"archive, bucket {bucket} of batch {batch_id}")
            progress(blocks, total)
    searched = await tables_with(connection, [value for value in values if len(value) >= _SHORTEST])
    found += [f"table {name}: {rows} rows" for name, rows in searched.items() if rows]
    return Scan(blocks, len(searched), found)


_SHORTEST = 4


def _in_block(payload: bytes, wanted: list[bytes]) -> bool:
    try:
        events = open_block(payload)
    except DamagedBlock:
        return False
    return any(value in event.value.lower() for event in events for value in wanted)


async def certificate(
    connection: asyncpg.Connection, planned: Plan, id_: UUID, reason: str, by: str, scanned: Scan, now: datetime
) -> dict[str, Any]:
    """The certificate of an erasure: it names nobody. Raises NotErased."""
    batch = await erased_by(connection, id_, SOURCE)
    if batch is None:
        raise NotErased(f"the erasure {id_} is not applied: see `tandem status`, and look at it again")
    return {
        "certificate": "tandem erasure 1",
        "erasure": str(id_),
        "reason": reason,
        "by": by,
        "applied_in_batch": batch.batch_id,
        "committed_at": batch.committed_at.isoformat(),
        "records_erased": batch.records,
        "identifiers_erased": len(planned.identifiers),
        "scanned_at": now.isoformat(),
        "archive_blocks_scanned": scanned.blocks,
        "tables_scanned": scanned.tables,
        "found": scanned.found,
    }
