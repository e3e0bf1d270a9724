"""Comparing the live projection with one that was rebuilt beside it, row by row, as of the rebuild's last batch."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

#: Columns that the events alone decide; not those about the feed, nor how often a row was written.
_TABLES = {
    "journeys": (
        "journey_id",
        "component, stage, stage_since, due, reached, first_seen, last_seen, events, channel, campaign, owner, "
        "account, accounts, stays, score, value, audiences, handoffs, state",
    ),
    "identifiers": ("key", "journey_id"),
    "handoffs": (
        "handoff_id",
        "journey_id, kind, sender, receiver, team, tier, owner, state, since, offered_at, touched_at, touch_due, "
        "resolution_due, expires_at, due_at, open_until, note, rival, successor, alarms",
    ),
    "rulings": ("id", "source, occurred_at, joined, keys"),
    "releases": ("later_key", "key, released_at"),
    "quarantine": ("key", "type, value"),
    "erasures": ("id", "source, occurred_at, secret, subjects, shared, events, reason, said_by"),
    "playbook_events": ("id", "source, occurred_at, type, department, proposal, digest, body, effective_at, comment"),
}
_MOST = 100  #: differences that are named for each table

#: Rows that batches after the rebuild's last one have touched are left out: they may rightly differ.
_COMPARE = """
    WITH changed AS MATERIALIZED (SELECT DISTINCT journey_id FROM public.changes WHERE batch_id > $1)
    SELECT coalesce(live.{key}, again.{key}) AS key, live.{key} IS NOT NULL AS lives,
           again.{key} IS NOT NULL AS rebuilt, {journey} AS journey_id
    FROM public.{table} AS live FULL JOIN {beside}.{table} AS again ON live.{key} = again.{key}
    WHERE ({live}) IS DISTINCT FROM ({again}) AND {unchanged}
    ORDER BY 1 LIMIT {most}
"""
_COUNTS = """
    SELECT (SELECT coalesce(sum(applied), 0) FROM public.partitions)::bigint AS applied,
           (SELECT coalesce(sum(applied), 0) FROM public.batches)::bigint AS of_batches,
           (SELECT count(*) FROM public.events) AS events,
           (SELECT coalesce(sum(events), 0) FROM public.archive)::bigint AS archived,
           (SELECT count(*) FROM public.dead_letters WHERE reason = 'conflict') AS conflicts,
           (SELECT coalesce(sum(dead), 0) FROM public.partitions)::bigint AS dead,
           (SELECT count(*) FROM public.dead_letters) AS dead_letters,
           (SELECT count(*) FROM (
                SELECT partition_id, from_offset,
                       lag(to_offset) OVER (PARTITION BY partition_id ORDER BY from_offset) AS before
                FROM public.batches
            ) AS steps WHERE before <> from_offset) AS gaps
"""
_CHANGES_AFTER = "SELECT count(*) FROM public.changes WHERE batch_id > $1"
#: Records that could not be applied, by place. Conflicts are left out: which of two partitions is read first decides
#: which of the two places is told; and what an erasure blanked or kept out.
_LETTERS = """
    WITH live AS ({of_live}), again AS ({of_again})
    SELECT topic || '/' || partition || '/' || record_offset AS place, live.reason AS live, again.reason AS again
    FROM live FULL JOIN again USING (topic, partition, record_offset)
    WHERE (live.reason, live.payload) IS DISTINCT FROM (again.reason, again.payload) ORDER BY 1 LIMIT {most}
"""
_LETTERS_OF = """
    SELECT p.topic, p.partition, d.record_offset, d.reason, d.payload
    FROM {schema}.dead_letters d JOIN {schema}.partitions p USING (partition_id)
    JOIN {beside}.replay r ON r.topic = p.topic AND r.partition = p.partition
    WHERE d.record_offset < r.until_offset AND d.reason NOT IN ('conflict', 'erased') AND d.salt IS NOT NULL
      AND p.log_epoch = (SELECT max(log_epoch) FROM {schema}.partitions)
"""
#: The engine's connections may not hash or scan; here everything is read once. By one process: a hash that several
#: share costs more than it saves, and another core digests the same rows at that time.
_WHOLE = """
    SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on;
    SET LOCAL work_mem = '64MB'; SET LOCAL max_parallel_workers_per_gather = 0;
    SET LOCAL statement_timeout = 0
"""
_STATES = """
    SELECT (SELECT state FROM public.journeys WHERE journey_id = $1) AS live,
           (SELECT state FROM {beside}.journeys WHERE journey_id = $1) AS again
"""


class Differing(NamedTuple):
    """A row that is not what the facts make it."""

    table: str
    key: bytes
    lives: bool  #: whether the live projection has it
    rebuilt: bool  #: whether the facts make it
    journey_id: bytes | None


async def differing(connection: asyncpg.Connection, beside: str, until_batch: int) -> list[Differing]:
    """Rows that differ, of each table those with the smallest keys. `beside`: a quoted name of a schema."""
    await connection.execute(_WHOLE)
    differences = []
    for table, (key, columns) in _TABLES.items():
        names = [name.strip() for name in columns.split(",")]
        statement = _COMPARE.format(
            table=table,
            beside=beside,
            key=key,
            live=", ".join(f"live.{name}" for name in names),
            again=", ".join(f"again.{name}" for name in names),
            journey=_journey(table),
            unchanged=_unchanged(table),
            most=_MOST,
        )
        rows = await connection.fetch(statement, until_batch)
        differences += [Differing(table, *row) for row in rows]
    return differences


async def letters_differing(connection: asyncpg.Connection, beside: str) -> list[tuple[str, str | None, str | None]]:
    """(place, reason in the live projection, reason in the replay) of dead letters that differ; the first ones."""
    of_live, of_again = (_LETTERS_OF.format(schema=schema, beside=beside) for schema in ("public", beside))
    rows = await connection.fetch(_LETTERS.format(of_live=of_live, of_again=of_again, most=_MOST))
    return [(row["place"], row["live"], row["again"]) for row in rows]


def _journey(table: str) -> str:
    if table not in ("journeys", "identifiers", "handoffs"):
        return "NULL::uuid"
    return "coalesce(live.journey_id, again.journey_id)"


def _unchanged(table: str) -> str:
    """Only batches after the rebuild's last one can have added to the register, and they wrote their id."""
    if table in ("journeys", "identifiers", "handoffs"):
        return "NOT EXISTS (SELECT FROM changed c WHERE c.journey_id IN (live.journey_id, again.journey_id))"
    return "(live.batch_id IS NULL OR live.batch_id <= $1)"


class Counts(NamedTuple):
    """Counts that must agree."""

    applied: int
    of_batches: int
    events: int
    archived: int
    conflicts: int
    dead: int
    dead_letters: int
    gaps: int

    def objections(self) -> Sequence[str]:
        """What disagrees, in words."""
        checks = (
            (
                self.applied == self.of_batches,
                f"partitions count {self.applied} applied events, batches {self.of_batches}",
            ),
            (self.events == self.applied, f"{self.applied} events were applied, {self.events} are known"),
            (self.archived >= self.applied, f"{self.applied} events were applied, the archive holds {self.archived}"),
            (
                self.archived <= self.applied + self.conflicts,
                f"the archive holds {self.archived} of {self.applied} events",
            ),
            (
                self.dead == self.dead_letters,
                f"partitions count {self.dead} dead letters, there are {self.dead_letters}",
            ),
            (self.gaps == 0, f"offsets of batches do not follow each other in {self.gaps} places"),
        )
        return [text for holds, text in checks if not holds]


async def counts(connection: asyncpg.Connection) -> Counts:
    """The sums, as they are now."""
    row = await connection.fetchrow(_COUNTS)
    assert row is not None, "an aggregate always returns a row"
    return Counts(*row)


async def changes_after(connection: asyncpg.Connection, batch_id: int) -> int:
    """How many changes later batches than that one have made."""
    return int(await connection.fetchval(_CHANGES_AFTER, batch_id))


async def both_states(
    connection: asyncpg.Connection, beside: str, journey_id: bytes
) -> tuple[bytes | None, bytes | None]:
    """(the stored state, the one that the facts make) of a journey; None where there is none."""
    row = await connection.fetchrow(_STATES.format(beside=beside), journey_id)
    assert row is not None, "a select without table always returns a row"
    return row["live"], row["again"]
