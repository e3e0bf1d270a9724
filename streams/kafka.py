"""Kafka: how to reach it, and the topics that Tandem reads and writes."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError

from schemas.errors import TandemError

OWNERS = ("marketing", "sales", "joint")

_LEADERS_SECONDS = 15.0

_TOPIC_SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "message.timestamp.type": "LogAppendTime",
    # Above the event limit: a record that is too large belongs among the dead letters, not back at its producer.
    "max.message.bytes": "16777216",
}
_JOURNEYS_SETTINGS = _TOPIC_SETTINGS | {"cleanup.policy": "compact"}
_TRANSITIONS_SETTINGS = _TOPIC_SETTINGS | {"retention.ms": "2592000000"}  # 30 days


class KafkaUnreachable(TandemError):
    """No broker answers, or it does not let us in."""


class TopicUnfit(TandemError):
    """A topic is set up so that records would be lost or mistimed."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is, and how to get in. `password` never shows in a repr."""

    bootstrap: str
    security: str = "PLAINTEXT"  #: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    topic_prefix: str = "tandem"
    partitions: int = 4
    idempotent: bool = True  #: whether producers may be; only the in-memory broker refuses

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka's clients."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.security}
        context = self.ssl_context()
        if context is not None:
            options["ssl_context"] = context
        if self.security.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    def producer_options(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka's producer."""
        return {**self.client_options(), "enable_idempotence": self.idempotent}

    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without TLS."""
        if self.security not in ("SSL", "SASL_SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


def event_topics(kafka: KafkaSettings) -> dict[str, str]:
    """Owner -> topic."""
    return {owner: f"{kafka.topic_prefix}.{owner}.events" for owner in OWNERS}


class FeedTopics(NamedTuple):
    """The topics that the change feed is published to."""

    journeys: str
    transitions: str
    publisher: str  #: who writes them: its transactional id, its consumer group, its row in the database


def feed_topics(kafka: KafkaSettings) -> FeedTopics:
    """Where the change feed is published to."""
    prefix = kafka.topic_prefix
    return FeedTopics(f"{prefix}.journeys", f"{prefix}.transitions", f"{prefix}-publisher")


class Place(NamedTuple):
    """One partition of an event topic, and the department that writes there."""

    topic: str
    partition: int
    owner: str


async def describe(kafka: KafkaSettings) -> tuple[str, list[Place]]:
    """(cluster id, all partitions of the event topics). Raises TopicUnfit where a topic is missing.

    Asks the cluster each time: a consumer's own metadata may be empty for a while after its start.
    """
    owners = {topic: owner for owner, topic in event_topics(kafka).items()}
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
        described = await admin.describe_topics(list(owners))
    finally:
        await admin.close()
    for found in described:
        if found["error_code"]:
            raise TopicUnfit(f"topic {found['topic']} cannot be read (error {found['error_code']}): run `tandem up`")
    places = [Place(f["topic"], p["partition"], owners[f["topic"]]) for f in described for p in f["partitions"]]
    return cluster_id, places


async def ensure_topics(kafka: KafkaSettings) -> None:
    """Create the event topics that are missing and check the others. Raises KafkaUnreachable or TopicUnfit."""
    await _ensure(kafka, dict.fromkeys(event_topics(kafka).values(), _TOPIC_SETTINGS), _check)


async def ensure_feed_topics(kafka: KafkaSettings) -> None:
    """Create the feed's topics that are missing and check the others. Raises KafkaUnreachable or TopicUnfit."""
    topics = feed_topics(kafka)
    wanted = {topics.journeys: _JOURNEYS_SETTINGS, topics.transitions: _TRANSITIONS_SETTINGS}
    await _ensure(kafka, wanted, lambda topic, found: _check_feed(topic, found, wanted[topic]["cleanup.policy"]))


async def _ensure(
    kafka: KafkaSettings, topics: dict[str, dict[str, str]], check: Callable[[str, dict[str, str]], None]
) -> None:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = {topic: settings for topic, settings in topics.items() if topic not in present}
        if missing:
            await _create(admin, missing, kafka.partitions)
            await _until_led(admin, list(missing))
        for topic in topics.keys() & present:
            check(topic, await _settings(admin, topic))
    except KafkaConnectionError as error:
        raise KafkaUnreachable(f"Kafka does not answer at {kafka.bootstrap}: {error}; check TANDEM_KAFKA") from error
    except KafkaError as error:
        raise KafkaUnreachable(f"Kafka at {kafka.bootstrap} refused: {error}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, topics: dict[str, dict[str, str]], partitions: int) -> None:
    replicas = min(3, len((await admin.describe_cluster())["brokers"]))
    answer = await admin.create_topics(
        [NewTopic(topic, partitions, replicas, topic_configs=settings) for topic, settings in topics.items()]
    )
    for topic, code, *message in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicUnfit(f"topic {topic} could not be created (error {code}): {message}")


async def _until_led(admin: AIOKafkaAdminClient, topics: list[str]) -> None:
    """A topic that was just created cannot be read before its partitions have leaders and the broker knows them."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _LEADERS_SECONDS
    while True:
        described = await admin.describe_topics(topics)
        if all(not found["error_code"] and all(p["leader"] >= 0 for p in found["partitions"]) for found in described):
            return
        if clock() > deadline:
            raise TopicUnfit(f"topics {', '.join(topics)} were created, but have no leaders: look at the broker's log")
        await asyncio.sleep(0.05)


async def _settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for resource in answer.resources for entry in resource[4]}


def _check(topic: str, settings: dict[str, str]) -> None:
    if "compact" in settings.get("cleanup.policy", ""):
        raise TopicUnfit(f"topic {topic} is compacted, so facts would vanish: set cleanup.policy=delete")
    if settings.get("message.timestamp.type") != "LogAppendTime":
        raise TopicUnfit(f"topic {topic} keeps the producer's time: set message.timestamp.type=LogAppendTime")


def _check_feed(topic: str, settings: dict[str, str], policy: str) -> None:
    found = settings.get("cleanup.policy", policy)
    if found != policy:
        raise TopicUnfit(f"topic {topic} has cleanup.policy={found}, so records would vanish: set {policy}")
