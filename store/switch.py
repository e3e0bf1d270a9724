"""Putting a projection beside the live one in its place: bringing it up to date, and the exchange of tables."""

from typing import NamedTuple

import asyncpg

from schemas.errors import TandemError
from store.rebuild import TABLES, RebuildPosition, StoredBlock, quoted

_PAGE_EVENTS = 50_000
_LOCK_SECONDS = 10

#: No batch is half in: a lower number than the last one cannot be committed any more.
_CLOSED = "LOCK TABLE public.partitions IN SHARE MODE"
_LAST = "SELECT coalesce(max(batch_id), 0) FROM public.batches"
_NEXT = """
    SELECT batch_id, sum(events) OVER (ORDER BY batch_id)::bigint AS so_far
    FROM (
        SELECT batch_id, sum(events) AS events FROM public.archive WHERE batch_id > $1 AND batch_id <= $2 GROUP BY 1
    ) AS batches ORDER BY 1
"""
_BLOCKS = """
    SELECT bucket, batch_id, events, payload FROM public.archive
    WHERE batch_id > $1 AND batch_id <= $2 ORDER BY batch_id, bucket
"""
_LOSERS = """
    SELECT payload FROM public.dead_letters
    WHERE reason = 'conflict' AND payload IS NOT NULL AND batch_id > $1 AND batch_id <= $2
"""
_KIND = "SELECT to_regclass(quote_ident($1) || '.partitions') IS NULL"
_MOVE = "ALTER TABLE {source}.{table} SET SCHEMA {target}"
_PASSING = "tandem_passing"  #: where the live tables are while the others take their place

#: The feed has told, and goes on: its numbers, and when it has told of time. Subscribers begin again: another epoch.
_HEAD = """
    UPDATE public.projection p SET
        feed_seq = o.feed_seq, told_until = o.told_until, feed_epoch = gen_random_uuid(),
        register_version = greatest(p.register_version, o.register_version) + 1
    FROM {old}.projection o
"""
_FORGET = "DELETE FROM public.announced"
#: What silence had done by then is in the snapshot that subscribers begin with: it is not told again.
_ANNOUNCE = """
    WITH until AS (SELECT told_until FROM public.projection), passed AS (
        SELECT j.journey_id, d.entry
        FROM public.journeys j, until,
             LATERAL (SELECT entry FROM jsonb_array_elements(j.due) WITH ORDINALITY AS e (entry, n)
                      WHERE (entry ->> 0)::bigint <= until.told_until ORDER BY n DESC LIMIT 1) AS d
        WHERE j.due_at <= until.told_until
    )
    INSERT INTO public.announced (journey_id, stage, audiences)
    SELECT journey_id, (entry ->> 1)::smallint, ARRAY(SELECT jsonb_array_elements_text(entry -> 2)) FROM passed
"""
_DUE = """
    UPDATE public.journeys j SET due_at = (
        SELECT min((entry ->> 0)::bigint) FROM jsonb_array_elements(j.due) AS entry
        WHERE (entry ->> 0)::bigint > p.told_until)
    FROM public.projection p WHERE j.due_at <= p.told_until
"""
#: Of hand-offs, too: what was told of the same one, and what is as old as the last that was told of any.
_TOLD = """
    WITH until AS (
        SELECT greatest(p.told_until, (
            SELECT max((alarm ->> 0)::bigint) FROM {old}.handoffs o, jsonb_array_elements(o.alarms) AS alarm
            WHERE alarm ->> 1 = ANY (o.told))) AS at
        FROM public.projection p
    ), known AS (
        SELECT h.handoff_id, ARRAY(
            SELECT alarm ->> 1 FROM jsonb_array_elements(h.alarms) AS alarm
            WHERE NOT alarm ->> 1 = ANY (h.told)
              AND ((alarm ->> 0)::bigint <= until.at OR alarm ->> 1 = ANY (o.told))) AS more
        FROM until, public.handoffs h LEFT JOIN {old}.handoffs o USING (handoff_id)
        WHERE h.alarm_at IS NOT NULL
    )
    UPDATE public.handoffs h SET told = h.told || known.more
    FROM known WHERE known.handoff_id = h.handoff_id AND known.more <> '{{}}'
"""
_ALARMS = """
    UPDATE public.handoffs h SET alarm_at = (
        SELECT min((alarm ->> 0)::bigint) FROM jsonb_array_elements(h.alarms) AS alarm
        WHERE NOT alarm ->> 1 = ANY (h.told))
    WHERE h.alarm_at IS NOT NULL
"""
#: What was live is whole up to here; it can be brought up to date again, and switched back.
_BESIDE = """
    UPDATE {old}.rebuild SET bucket = 64, batch_id = 0, events = total, until_batch = ({last})
"""


class NotSwitchable(TandemError):
    """The projection cannot take the place of the live one.

    Finish or rebuild it as the message says, then switch again.
    """


class Behind(NamedTuple):
    """The batches that a projection lacks."""

    until_batch: int
    events: int


async def check_kind(connection: asyncpg.Connection, name: str, position: RebuildPosition) -> None:
    """Raises NotSwitchable."""
    if position.at is not None or position.known_at is not None:
        raise NotSwitchable(f"the projection {name} shows the past: it can be read, but not become the live one")
    if not await connection.fetchval(_KIND, name):
        raise NotSwitchable(f"the projection {name} was read from Kafka, to be compared: replay the archive for this")
    if position.events < position.total:
        raise NotSwitchable(f"the projection {name} is not finished: start `tandem replay --into {name}` again")


async def hold(connection: asyncpg.Connection) -> None:
    """Let no batch be committed until this transaction ends."""
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
    await connection.execute(_CLOSED)


async def behind(connection: asyncpg.Connection, position: RebuildPosition) -> Behind | None:
    """The next batches that a projection lacks, some ten thousand events; None where it has all.

    The caller holds batches back, or did so when the last of these was committed.
    """
    last = await connection.fetchval(_LAST)
    rows = await connection.fetch(_NEXT, position.until_batch, last)
    if last == position.until_batch:
        return None
    for batch_id, so_far in rows:
        if so_far >= _PAGE_EVENTS:
            return Behind(batch_id, so_far)
    return Behind(last, rows[-1]["so_far"] if rows else 0)


async def blocks_between(connection: asyncpg.Connection, after: int, until: int) -> list[StoredBlock]:
    """The blocks of some batches."""
    return [StoredBlock(*row) for row in await connection.fetch(_BLOCKS, after, until)]


async def losers_between(connection: asyncpg.Connection, after: int, until: int) -> list[bytes]:
    """Bytes of events whose id another body took in some batches."""
    return [row["payload"] for row in await connection.fetch(_LOSERS, after, until)]


async def exchange(connection: asyncpg.Connection, name: str) -> None:
    """Let the projection and the live one change places, within a transaction that holds the batches back."""
    old = quoted(name)
    await connection.execute(f"CREATE SCHEMA {_PASSING}")
    for source, target in (("public", _PASSING), (old, "public"), (_PASSING, old)):
        for table in TABLES:
            await connection.execute(_MOVE.format(source=source, target=target, table=table))
    await connection.execute(f"DROP SCHEMA {_PASSING}")
    for statement in (_HEAD, _FORGET, _ANNOUNCE, _DUE, _TOLD, _ALARMS, _BESIDE):
        await connection.execute(statement.format(old=old, last=_LAST))
