"""Replay from Kafka: read the log again from its beginning, into a projection beside the live one.

The projector does it, with tables in a schema of its own, exactly as for the live projection, and stops where that one
was when the replay began. So the two can be compared, dead letters included.
"""

import asyncio

from aiokafka import TopicPartition

from audit.digest import ProjectionDigest, projection_digest
from audit.progress import Progress
from projections.playbook.rules import Rules
from schemas.errors import TandemError
from store.rebuild import claimed
from store.replay import begin, ends_of, note_progress, replay_progress
from store.session import closing, open_connection, open_engine_connection
from streams.engine.positions import LogTruncated
from streams.engine.rate_limit import RateLimit
from streams.engine.worker import run_until
from streams.kafka import KafkaSettings

_LOOK_SECONDS = 0.1


class LogIncomplete(TandemError):
    """Kafka has dropped the beginning of its log. Replay from the archive instead."""


async def replay_from_kafka(
    kafka: KafkaSettings,
    database_url: str,
    rules: Rules,
    name: str,
    progress: Progress,
    rate_limit: RateLimit | None = None,
) -> ProjectionDigest:
    """Read the log into the projection `name`, and digest it. Resumes an interrupted one.

    Raises BeingBuilt, and what `read_log` raises.
    """
    async with claimed(database_url, name):
        await read_log(kafka, database_url, rules, name, progress, rate_limit)
    async with closing(await open_engine_connection(database_url, name)) as connection:
        return await projection_digest(connection)


async def read_log(
    kafka: KafkaSettings,
    database_url: str,
    rules: Rules,
    name: str,
    progress: Progress,
    rate_limit: RateLimit | None = None,
) -> None:
    """The same without the digest.

    Raises UnusableName, PlaybookChanged, LogIncomplete, and what the projector raises.
    """
    async with closing(await open_connection(database_url)) as connection:
        await begin(connection, name)
        ends = {TopicPartition(topic, number): end for topic, number, end in await ends_of(connection, name)}
    stop = asyncio.Event()
    working = asyncio.create_task(run_until(kafka, database_url, rules, name, ends, stop, rate_limit))
    try:
        async with closing(await open_connection(database_url)) as connection:
            while True:
                done, total = await replay_progress(connection, name)
                progress(done, total)
                if done >= total or working.done():
                    break
                await asyncio.wait([working], timeout=_LOOK_SECONDS)
            await note_progress(connection, name)
    finally:
        stop.set()
        try:
            await working
        except LogTruncated as error:
            raise LogIncomplete(
                f"Kafka no longer has the whole log: {error}. The archive has it: replay with --from-archive"
            ) from error
