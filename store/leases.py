"""Leases and fences: which worker may write which partition.

A lease is a row's `worker`; it lives while the worker's database session lives and its heartbeat is fresh, by the
database's clock. Taking a partition over raises its `epoch`: from then on the former holder's transactions update no
fence row and fail. So leases decide who should work, and the fence decides who can.
"""

from typing import NamedTuple

import asyncpg

LEASE_SECONDS = 10  #: a worker silent for longer has lost its leases


class Lease(NamedTuple):
    """One partition, taken over."""

    partition_id: int
    topic: str
    partition: int
    department: str  #: the department that writes this topic
    epoch: int
    next_offset: int
    witness: int | None  #: digest of the record before next_offset


_ALIVE = f"""
    EXISTS (
        SELECT FROM workers w JOIN pg_stat_activity a ON a.pid = w.backend_pid AND a.backend_start = w.backend_start
        WHERE w.worker = {{worker}} AND w.heartbeat_at > clock_timestamp() - interval '{LEASE_SECONDS} seconds'
    )
"""

_ENROL = """
    INSERT INTO workers (worker, backend_pid, backend_start, heartbeat_at)
    SELECT $1, pid, backend_start, clock_timestamp() FROM pg_stat_activity WHERE pid = $2
    ON CONFLICT (worker) DO UPDATE
    SET backend_pid = excluded.backend_pid, backend_start = excluded.backend_start, heartbeat_at = clock_timestamp()
"""

_HEARTBEAT = "UPDATE workers SET heartbeat_at = clock_timestamp() WHERE worker = $1"

_BURY = f"""
    DELETE FROM workers WHERE NOT {_ALIVE.format(worker="workers.worker")}
    RETURNING (SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
               WHERE a.pid = workers.backend_pid AND a.backend_start = workers.backend_start)
"""

_FAIR_SHARE = """
    SELECT ceil((SELECT count(*) FROM partitions WHERE log_epoch = $1)::numeric
                / greatest(1, (SELECT count(*) FROM workers)))::int
"""

_TAKE = """
    UPDATE partitions SET epoch = epoch + 1, worker = $1
    WHERE partition_id IN (
        SELECT partition_id FROM partitions p
        WHERE log_epoch = $2
          AND (worker IS NULL OR worker = $1 OR NOT EXISTS (SELECT FROM workers w WHERE w.worker = p.worker))
          AND NOT partition_id = ANY ($4)
        ORDER BY worker IS DISTINCT FROM $1, partition_id
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
    RETURNING partition_id, topic, partition, department, epoch, next_offset, witness
"""

_RELEASE = "UPDATE partitions SET worker = NULL WHERE worker = $1 AND partition_id = ANY ($2)"

_DISMISS = "DELETE FROM workers WHERE worker = $1"


async def enrol(control: asyncpg.Connection, worker: bytes, commit_pid: int) -> None:
    """Register the worker. `commit_pid` is the backend of the connection that will commit its batches."""
    await control.execute(_ENROL, worker, commit_pid)


async def heartbeat(control: asyncpg.Connection, worker: bytes) -> bool:
    """Say that the worker is alive. False where the others have given it up."""
    return str(await control.execute(_HEARTBEAT, worker)) == "UPDATE 1"


async def take(control: asyncpg.Connection, worker: bytes, log_epoch: int, held: list[int]) -> tuple[list[Lease], int]:
    """Take free partitions up to a fair share: (new leases, the fair share).

    Workers without a live session or a fresh heartbeat are buried first, their sessions ended, their leases free.
    """
    async with control.transaction():
        await control.execute(_BURY)
        share = await control.fetchval(_FAIR_SHARE, log_epoch)
        wanted = max(0, share - len(held))
        rows = await control.fetch(_TAKE, worker, log_epoch, wanted, held) if wanted else []
    return [Lease(*row) for row in rows], share


async def release(control: asyncpg.Connection, worker: bytes, partition_ids: list[int]) -> None:
    """Give leases back, so that others need not wait for them to run out."""
    await control.execute(_RELEASE, worker, partition_ids)


async def dismiss(control: asyncpg.Connection, worker: bytes, partition_ids: list[int]) -> None:
    """Unregister the worker: its leases are free at once."""
    await release(control, worker, partition_ids)
    await control.execute(_DISMISS, worker)
