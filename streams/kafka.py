"""Kafka: how to reach it, and the topics that Tandem reads and writes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from schemas.errors import TandemError
from store.partitions import EventPartition

DEPARTMENTS = ("marketing", "sales", "joint")

_LEADERS_SECONDS = 15.0
_ASK_AGAIN_MS = 5_000

_TOPIC_SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "message.timestamp.type": "LogAppendTime",
    # Above the event limit: a record that is too large belongs among the dead letters, not back at its producer.
    "max.message.bytes": "16777216",
}
_JOURNEYS_SETTINGS = _TOPIC_SETTINGS | {"cleanup.policy": "compact"}
_TRANSITIONS_SETTINGS = _TOPIC_SETTINGS | {"retention.ms": "2592000000"}  # 30 days


#: Topic -> its settings.
Topics = Mapping[str, Mapping[str, str]]


class KafkaUnreachable(TandemError):
    """No broker answers, or it refuses the login.

    Correct address, security or login; deploy/kafka/README.md has a table.
    """


class TlsFilesUnfit(TandemError):
    """A file for TLS cannot be read, or is not what it should be. Correct the path that the message names."""


class TopicForbidden(TandemError):
    """Our Kafka user lacks a right on a topic. Give it the right; deploy/kafka/README.md says who needs what."""


class TopicUnfit(TandemError):
    """A topic's settings would lose records or falsify their times. Correct the setting that the message names."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is, and how to authenticate. `password` never shows in a repr."""

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
    idempotent: bool = True  #: whether producers may be idempotent; only the in-memory broker refuses

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
        """The TLS context; None without TLS. Raises TlsFilesUnfit."""
        if self.security not in ("SSL", "SASL_SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise TlsFilesUnfit(f"TANDEM_KAFKA_CA_FILE names {self.ca_file}, which cannot be used: {error}") from error
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
            except OSError as error:
                raise TlsFilesUnfit(
                    f"TANDEM_KAFKA_CERT_FILE and TANDEM_KAFKA_KEY_FILE name {self.cert_file} and {self.key_file}, "
                    f"which cannot be used: {error}"
                ) from error
        return context


def event_topics(kafka: KafkaSettings) -> dict[str, str]:
    """Department -> topic."""
    return {department: f"{kafka.topic_prefix}.{department}.events" for department in DEPARTMENTS}


class FeedTopics(NamedTuple):
    """The topics that the change feed is published to."""

    journeys: str
    transitions: str
    publisher: str  #: the writer's transactional id, consumer group and row in the database


def feed_topics(kafka: KafkaSettings) -> FeedTopics:
    """The topics that the change feed is published to."""
    prefix = kafka.topic_prefix
    return FeedTopics(f"{prefix}.journeys", f"{prefix}.transitions", f"{prefix}-publisher")


async def describe(kafka: KafkaSettings) -> tuple[str, list[EventPartition]]:
    """(cluster id, all partitions of the event topics).

    Raises KafkaUnreachable, TopicForbidden, or TopicUnfit where a topic is missing. Asks the cluster each time: a
    consumer's own metadata may be empty for a while after its start.
    """
    departments = {topic: department for department, topic in event_topics(kafka).items()}
    async with _admin_of(kafka) as admin:
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
        described = await admin.describe_topics(list(departments))
    for topic in described:
        _check_allowed(kafka, "DESCRIBE", topic["topic"], topic["error_code"])
        if topic["error_code"]:
            raise TopicUnfit(f"topic {topic['topic']} cannot be read (error {topic['error_code']}): run `tandem up`")
    partitions = [
        EventPartition(topic["topic"], one["partition"], departments[topic["topic"]])
        for topic in described
        for one in topic["partitions"]
    ]
    return cluster_id, partitions


async def ensure_topics(kafka: KafkaSettings) -> None:
    """Create the event topics that are missing and check the others.

    Raises KafkaUnreachable, TopicForbidden or TopicUnfit.
    """
    await _ensure(kafka, dict.fromkeys(event_topics(kafka).values(), _TOPIC_SETTINGS), _check)


async def ensure_feed_topics(kafka: KafkaSettings) -> None:
    """Create the feed's topics that are missing and check the others.

    Raises KafkaUnreachable, TopicForbidden or TopicUnfit.
    """
    topics = feed_topics(kafka)
    wanted = {topics.journeys: _JOURNEYS_SETTINGS, topics.transitions: _TRANSITIONS_SETTINGS}
    await _ensure(kafka, wanted, lambda topic, settings: _check_feed(topic, settings, wanted[topic]["cleanup.policy"]))


async def create_missing(kafka: KafkaSettings, topics: Topics) -> None:
    """Create those of the topics that are missing, and leave the others as they are.

    Raises KafkaUnreachable, TopicForbidden or TopicUnfit.
    """
    await _ensure(kafka, topics, None)


async def _ensure(kafka: KafkaSettings, topics: Topics, check: Callable[[str, dict[str, str]], None] | None) -> None:
    async with _admin_of(kafka) as admin:
        present = set(await admin.list_topics())
        missing = {topic: settings for topic, settings in topics.items() if topic not in present}
        if missing:
            await _create(admin, kafka, missing)
            await _until_led(admin, list(missing))
        if check is not None:
            for topic in topics.keys() & present:
                check(topic, await _settings(admin, kafka, topic))


@asynccontextmanager
async def _admin_of(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka.client_options())
    try:
        await admin.start()
        yield admin
    except KafkaConnectionError as error:
        raise await unreachable(kafka, error) from error
    except KafkaError as error:
        raise KafkaUnreachable(f"Kafka at {kafka.bootstrap} refused: {error}") from error
    finally:
        await admin.close()


async def unreachable(kafka: KafkaSettings, error: Exception) -> KafkaUnreachable:
    """What to raise where a client could not connect. Asks the brokers for the reason, which aiokafka only logs."""
    options = {**kafka.client_options(), "request_timeout_ms": _ASK_AGAIN_MS}
    reason = error
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            (await create_conn(host, port, **options)).close()
        except (KafkaError, OSError, TimeoutError) as failure:
            reason = failure
    return KafkaUnreachable(_refusal(kafka, reason))


def _refusal(kafka: KafkaSettings, reason: Exception) -> str:
    match reason:
        case SaslAuthenticationFailed() | IllegalSaslStateError() | UnsupportedSaslMechanismError():
            settings = "TANDEM_KAFKA_USERNAME, TANDEM_KAFKA_PASSWORD and TANDEM_KAFKA_SASL_MECHANISM"
            return f"Kafka at {kafka.bootstrap} refuses to authenticate {kafka.username}: {reason}; check {settings}"
        case ssl.SSLError():
            return f"TLS with Kafka at {kafka.bootstrap} failed: {reason}; check TANDEM_KAFKA_CA_FILE"
        case _:
            settings = "TANDEM_KAFKA and TANDEM_KAFKA_SECURITY"
            return f"Kafka does not answer at {kafka.bootstrap}: {str(reason) or 'in time'}; check {settings}"


def _check_allowed(kafka: KafkaSettings, right: str, topic: str, code: int) -> None:
    if code == TopicAuthorizationFailedError.errno:
        who = kafka.username or "the user of this connection"
        raise TopicForbidden(f"{who} lacks {right} on topic {topic}: deploy/kafka/README.md says who needs what")


async def _create(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: Topics) -> None:
    replicas = min(3, len((await admin.describe_cluster())["brokers"]))
    answer = await admin.create_topics(
        [
            NewTopic(topic, kafka.partitions, replicas, topic_configs=dict(settings))
            for topic, settings in topics.items()
        ]
    )
    for topic, code, *message in answer.topic_errors:
        _check_allowed(kafka, "CREATE or DESCRIBE", topic, code)
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicUnfit(f"topic {topic} could not be created (error {code}): {message}")


async def _until_led(admin: AIOKafkaAdminClient, topics: list[str]) -> None:
    """Wait until new topics can be read: their partitions have leaders, and the broker knows them."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _LEADERS_SECONDS
    while True:
        described = await admin.describe_topics(topics)
        if all(not topic["error_code"] and all(p["leader"] >= 0 for p in topic["partitions"]) for topic in described):
            return
        if clock() > deadline:
            raise TopicUnfit(f"topics {', '.join(topics)} were created, but have no leaders: see the broker's log")
        await asyncio.sleep(0.05)


async def _settings(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [(code, _, _, _, entries)] = answer.resources
    _check_allowed(kafka, "DESCRIBE_CONFIGS", topic, code)
    return {entry[0]: entry[1] for entry in entries}


def _check(topic: str, settings: dict[str, str]) -> None:
    if "compact" in settings.get("cleanup.policy", ""):
        raise TopicUnfit(f"topic {topic} is compacted, so facts would vanish: set cleanup.policy=delete")
    if settings.get("message.timestamp.type") != "LogAppendTime":
        raise TopicUnfit(f"topic {topic} keeps the producer's time: set message.timestamp.type=LogAppendTime")


def _check_feed(topic: str, settings: dict[str, str], policy: str) -> None:
    actual = settings.get("cleanup.policy", policy)
    if actual != policy:
        raise TopicUnfit(f"topic {topic} has cleanup.policy={actual}, so records would vanish: set {policy}")
