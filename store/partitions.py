"""The partitions that the projection reads, and what it was built with."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import asyncpg

from schemas.errors import TandemError
from store.session import Connection


class ClusterChanged(TandemError):
    """The broker belongs to another Kafka cluster than the log that was read. Correct TANDEM_KAFKA."""


class PlaybookChanged(TandemError):
    """The journeys were folded by another playbook. Use that playbook (TANDEM_PLAYBOOK), or rebuild and switch."""


class EventPartition(NamedTuple):
    """One partition of an event topic, and the department that writes there."""

    topic: str
    partition: int
    department: str


_PROJECTION = """
    INSERT INTO projection (log_epoch, cluster_id, playbook) VALUES (1, $1, $2)
    ON CONFLICT (singleton) DO UPDATE SET singleton = true
    RETURNING log_epoch, cluster_id, playbook
"""

_PLAYBOOK = "SELECT playbook FROM projection"

_NEW_EPOCH = """
    UPDATE projection SET log_epoch = log_epoch + 1, cluster_id = $1
    WHERE starts_with(cluster_id, $2) AND cluster_id <> $1
    RETURNING log_epoch
"""

_ATTACH = """
    INSERT INTO partitions (log_epoch, topic, partition, department, cluster_id)
    SELECT $1, topic, partition, department, $2
    FROM unnest($3::text[], $4::int[], $5::text[]) AS u (topic, partition, department)
    ON CONFLICT DO NOTHING
"""

_PARTITIONS = "SELECT partition_id, topic, partition, department FROM partitions WHERE partition_id = ANY ($1::int[])"
_DEPARTMENTS = "SELECT partition_id, department FROM partitions"


async def begin_projection(connection: asyncpg.Connection, cluster_id: str, playbook: str) -> int:
    """The current log epoch. The first worker ever records cluster and playbook; later ones must agree.

    Raises ClusterChanged or PlaybookChanged.
    """
    row = await connection.fetchrow(_PROJECTION, cluster_id, playbook)
    assert row is not None, "the statement returns the row it wrote or found"
    log_epoch, first_cluster, first_playbook = row
    if first_cluster != cluster_id:
        raise ClusterChanged(
            f"this database follows the Kafka cluster {first_cluster}, but the broker belongs to {cluster_id}: "
            "connect to the former cluster, or use a new database"
        )
    _same_playbook(first_playbook, playbook)
    return int(log_epoch)


async def check_playbook(connection: asyncpg.Connection, playbook: str) -> None:
    """Raises PlaybookChanged where the journeys were folded by another playbook, whose stages are others."""
    folded_by = await connection.fetchval(_PLAYBOOK)
    if folded_by is not None:
        _same_playbook(folded_by, playbook)


def _same_playbook(folded_by: str, playbook: str) -> None:
    if folded_by != playbook:
        raise PlaybookChanged(
            f"the journeys were folded by the playbook {folded_by[:12]}, not by {playbook[:12]}: "
            "name the former playbook in TANDEM_PLAYBOOK, or use a new database and replay"
        )


async def begin_log_epoch(connection: asyncpg.Connection, cluster_id: str, forgetful: str) -> int | None:
    """Follow another cluster if the former one was in memory: its id began with `forgetful`. Returns the new log epoch.

    None where the cluster is the same, none was followed yet, or the one before keeps its log. Journeys, archive and
    known events stay; offsets begin again.
    """
    begun: int | None = await connection.fetchval(_NEW_EPOCH, cluster_id, forgetful)
    return begun


async def attach(
    connection: asyncpg.Connection, log_epoch: int, cluster_id: str, partitions: Sequence[EventPartition]
) -> None:
    """Record the partitions that are new."""
    topics, numbers, departments = (list(column) for column in zip(*partitions, strict=True))
    await connection.execute(_ATTACH, log_epoch, cluster_id, topics, numbers, departments)


async def read_departments(connection: asyncpg.Connection) -> dict[int, str]:
    """Partition id -> the department that writes there, for all log epochs."""
    return {row["partition_id"]: row["department"] for row in await connection.fetch(_DEPARTMENTS)}


async def event_partitions(connection: Connection, ids: Collection[int]) -> dict[int, EventPartition]:
    """Partition id -> its topic, number and department."""
    rows = await connection.fetch(_PARTITIONS, sorted(ids))
    return {row["partition_id"]: EventPartition(*row[1:]) for row in rows}
