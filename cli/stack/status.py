"""The status of the stack: what `tandem status` finds and waits for."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.settings import Settings
from schemas.errors import TandemError
from store.proposals import share_swept
from store.publications import Publication, has_publisher, read_publication
from store.status import Progress as PartitionProgress
from store.status import progress
from streams.kafka import describe, feed_topics

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Status:
    """The stack at one moment."""

    parts: dict[str, str]  #: part -> "ok", or what is wrong
    partitions: list[PartitionProgress]
    ends: dict[tuple[str, int], int]  #: end offset of each partition in Kafka
    publication: Publication | None  #: how far the feed is published; None where it never was
    following: float | None = None  #: share of journeys that follow the last change of the playbook; None: all do

    @property
    def lag(self) -> int:
        """Records produced and not applied yet."""
        reached = {(partition.topic, partition.partition): partition.next_offset for partition in self.partitions}
        return sum(max(0, end - reached.get(place, 0)) for place, end in self.ends.items())

    @property
    def done(self) -> bool:
        """Nothing is left to apply, and all journeys follow the playbook in force."""
        return not self.lag and self.following is None

    @property
    def sound(self) -> bool:
        """Every part is up and every record accounted for."""
        return all(state == "ok" for state in self.parts.values()) and all(found.sound for found in self.partitions)


async def watch(settings: Settings, *, wait: bool, timeout: float, quiet: bool) -> Status:
    """The status now, or once nothing lags (or `timeout` seconds are over)."""
    state = await look(settings)
    if not wait or state.done:
        return state
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = asyncio.get_running_loop().time() + timeout
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        total = sum(state.ends.values())
        task = bar.add_task("applying", total=total)
        while not state.done and asyncio.get_running_loop().time() < deadline:
            bar.update(task, completed=total - state.lag)
            await asyncio.sleep(_PAUSE_SECONDS)
            state = await look(settings)
    return state


async def look(settings: Settings) -> Status:
    """The status now."""
    partitions, publication, publisher, following, database = await _database(settings)
    ends, broker = await _broker(settings)
    workers = "ok" if all(found.leased for found in partitions) and partitions else "no worker holds the partitions"
    parts = {"database": database, "kafka": broker, "api": await _api(settings), "worker": workers}
    if settings.kafka.idempotent:
        parts["publisher"] = "ok" if publisher else "nobody publishes"
    if settings.agents is not None:
        parts["agents"] = await _agents(settings.agents)
    return Status(parts, partitions, ends, publication, following)


async def _database(
    settings: Settings,
) -> tuple[list[PartitionProgress], Publication | None, bool, float | None, str]:
    """Also whether somebody publishes the feed, and how many journeys follow the playbook in force."""
    try:
        connection = await asyncpg.connect(settings.database_url, timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        return [], None, False, None, f"does not answer: {error}"
    try:
        name = feed_topics(settings.kafka).publisher
        publication, publisher = await read_publication(connection, name), await has_publisher(connection, name)
        return await progress(connection), publication, publisher, await share_swept(connection), "ok"
    except asyncpg.PostgresError as error:
        return [], None, False, None, f"cannot be read: {error}"
    finally:
        await connection.close()


async def _broker(settings: Settings) -> tuple[dict[tuple[str, int], int], str]:
    consumer = AIOKafkaConsumer(**settings.kafka.client_options())
    try:
        _, partitions = await asyncio.wait_for(describe(settings.kafka), 10)
        await asyncio.wait_for(consumer.start(), 10)
        places = [TopicPartition(place.topic, place.partition) for place in partitions]
        ends = await consumer.end_offsets(places)
        return {(place.topic, place.partition): end for place, end in ends.items()}, "ok"
    except (KafkaError, TandemError, OSError, TimeoutError) as error:
        return {}, f"does not answer: {str(error) or type(error).__name__}"
    finally:
        await consumer.stop()


async def _api(settings: Settings) -> str:
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(f"{settings.api}/healthz")
    except httpx.HTTPError as error:
        return f"does not answer at {settings.api}: {str(error) or type(error).__name__}"
    return "ok" if answer.status_code == httpx.codes.OK else f"answers {answer.status_code}"


async def _agents(address: str) -> str:
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            agents = (await client.get(f"{address}/agents")).raise_for_status().json()
    except httpx.HTTPError as error:
        return f"does not answer at {address}: {str(error) or type(error).__name__}"
    return "; ".join(f"{one['agent']} keeps failing: {one['error']}" for one in agents if one["error"]) or "ok"


def _total(state: Status) -> dict[str, int]:
    return {
        "lag": state.lag,
        "read": sum(one.read for one in state.partitions),
        "applied": sum(one.applied for one in state.partitions),
        "duplicates": sum(one.duplicates for one in state.partitions),
        "dead_letters": sum(one.dead for one in state.partitions),
        "holes": sum(one.holes for one in state.partitions),
    }


def _adds_up(total: dict[str, int]) -> bool:
    return total["read"] == total["applied"] + total["duplicates"] + total["dead_letters"] + total["holes"]


def as_answer(state: Status) -> dict[str, Any]:
    """The status as `tandem status --json` prints it."""
    partitions = [
        {
            "topic": one.topic,
            "partition": one.partition,
            "lag": state.ends.get((one.topic, one.partition), one.next_offset) - one.next_offset,
            "read": one.read,
            "applied": one.applied,
            "duplicates": one.duplicates,
            "dead_letters": one.dead,
            "holes": one.holes,
            "sound": one.sound,
        }
        for one in state.partitions
    ]
    total = _total(state)
    return {
        "parts": state.parts,
        "published": None if state.publication is None else state.publication._asdict(),
        "following_playbook": 1.0 if state.following is None else round(state.following, 4),
        "total": total | {"sound": _adds_up(total)},
        "partitions": partitions,
    }
