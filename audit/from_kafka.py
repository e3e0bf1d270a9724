"""Replay from Kafka: the log read again from its beginning, into a projection of its own beside the live one.

It is the projector itself, with tables of its own in a schema of its own: it reads, dedupes, judges and commits as the
live one does, and stops where the live one was when the replay began. So the two can be compared, dead letters too.
"""

import asyncio
from collections.abc import Callable

from aiokafka import TopicPartition

from audit.digest import ProjectionDigest, projection_digest
from projections.playbook.rules import Rules
from schemas.errors import TandemError
from store.rebuild import claimed
from store.replay import begin, ends_of, progress, progressed
from store.session import closing, open_connection, open_engine_connection
from streams.engine.positions import LogTruncated
from streams.engine.rate_limit import Pace
from streams.engine.worker import run_until
from streams.kafka import KafkaSettings

_LOOK_SECONDS = 0.1

Tell = Callable[[int, int], None]


class LogIncomplete(TandemError):
    """Kafka has dropped the beginning of its log."""


async def replay_from_kafka(
    kafka: KafkaSettings, database_url: str, rules: Rules, name: str, tell: Tell, pace: Pace | None = None
) -> ProjectionDigest:
    """Read the log into the projection `name`, and digest it. Begun before, it goes on.

    Raises BeingBuilt, and what `read_log` raises.
    """
    async with claimed(database_url, name):
        await read_log(kafka, database_url, rules, name, tell, pace)
    async with closing(await open_engine_connection(database_url, name)) as connection:
        return await projection_digest(connection)


async def read_log(
    kafka: KafkaSettings, database_url: str, rules: Rules, name: str, tell: Tell, pace: Pace | None = None
) -> None:
    """The same without the digest.

    Raises UnusableName, PlaybookChanged, LogIncomplete, and what the projector raises.
    """
    async with closing(await open_connection(database_url)) as connection:
        await begin(connection, name)
        ends = {TopicPartition(topic, number): end for topic, number, end in await ends_of(connection, name)}
    stop = asyncio.Event()
    working = asyncio.create_task(run_until(kafka, database_url, rules, name, ends, stop, pace))
    try:
        async with closing(await open_connection(database_url)) as connection:
            while True:
                done, total = await progress(connection, name)
                tell(done, total)
                if done >= total or working.done():
                    break
                await asyncio.wait([working], timeout=_LOOK_SECONDS)
            await progressed(connection, name)
    finally:
        stop.set()
        try:
            await working
        except LogTruncated as error:
            raise LogIncomplete(
                f"Kafka no longer has the whole log: {error}. The archive has it: replay with --from-archive"
            ) from error
