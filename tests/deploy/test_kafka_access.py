"""deploy/kafka/departments.sh on a real broker: everybody can do their work, and nothing else."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from schemas.answers.events import Accepted
from streams.agents import crm
from streams.agents.settings import AgentSettings
from streams.gateway import Gateway
from streams.kafka import (
    KafkaSettings,
    KafkaUnreachable,
    TlsFilesUnfit,
    TopicForbidden,
    TopicUnfit,
    create_missing,
    describe,
    ensure_topics,
    event_topics,
)
from tests.deploy.secured_kafka import ADMIN, PASSWORDS, RECIPE, list_rights, run_recipe, run_tool, settings_of
from tests.streams.agents.support import agents, all_of, committed, produce_to
from tests.streams.agents.test_crm import LEAD, change
from tests.support import body, counts, until

EVENTS = {"marketing": "tandem.marketing.events", "sales": "tandem.sales.events", "joint": "tandem.joint.events"}
FEED = {"tandem.journeys", "tandem.transitions"}
TOPICS = {*EVENTS.values(), *FEED}

#: user -> the topics that it may write, and read. Of `sales`: see the test of its new password.
RIGHTS = {
    "marketing": ({EVENTS["marketing"]}, FEED),
    "tandem-worker": (set[str](), {*EVENTS.values()}),
    "tandem-gateway": ({*EVENTS.values()}, set[str]()),
    "tandem-publisher": (FEED, FEED),
    "tandem-agents": ({EVENTS["marketing"], EVENTS["sales"]}, FEED),
}

User = Callable[..., KafkaSettings]  #: (name, password=that of PASSWORDS) -> how it gets in


@pytest.fixture
async def user(secured_kafka: str, secured_folder: Path) -> AsyncIterator[User]:
    """Users of the secured broker, on which worker and publisher have made their topics."""

    def settings(name: str, password: str | None = None) -> KafkaSettings:
        return settings_of(name, secured_folder, secured_kafka, password)

    await until(lambda: lets_in(settings("tandem-agents")))  # the last one that the recipe has set up
    await ensure_topics(settings("tandem-worker"))
    for maker in ("tandem-worker", "tandem-publisher"):
        await make_topics(settings(maker), FEED)
    async with AIOKafkaProducer(**settings(ADMIN, ADMIN).producer_options()) as producer:
        for topic in sorted(TOPICS):  # something to read
            await until(lambda topic=topic: led(producer, topic))
            await producer.send_and_wait(topic, body(0))
    yield settings
    # TLS ends a connection only when both sides have said so: the loop must not end before
    await until(lambda: no_connection_to(secured_kafka))


async def no_connection_to(bootstrap: str) -> bool:
    """Whether this process has no connection to the broker any more."""
    port = int(bootstrap.rpartition(":")[2])
    return all(not found.raddr or found.raddr.port != port for found in psutil.Process().net_connections("tcp"))


async def make_topics(kafka: KafkaSettings, topics: set[str]) -> None:
    """Create those that are missing. Whoever may not is told so, even where they are there."""
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    answer = await admin.create_topics([NewTopic(topic, 1, 1) for topic in sorted(topics)])
    await admin.close()
    assert {code for _, code, *_ in answer.topic_errors} <= {0, TopicAlreadyExistsError.errno}


async def led(producer: AIOKafkaProducer, topic: str) -> bool:
    return bool(await producer.partitions_for(topic))


async def lets_in(kafka: KafkaSettings) -> bool:
    """Whether the broker takes the login."""
    try:
        await describe(kafka)
    except KafkaUnreachable:
        return False
    except (TopicForbidden, TopicUnfit):
        return True  # refused is only what it asked for then
    return True


async def writable(kafka: KafkaSettings, topics: set[str] = TOPICS) -> set[str]:
    """Those of the topics that an idempotent producer may write."""
    found = set()
    for topic in topics:
        producer = AIOKafkaProducer(**kafka.producer_options())
        try:
            await producer.start()  # refused to who may write nothing at all
            await producer.send_and_wait(topic, body(1))
            found.add(topic)
        except (ClusterAuthorizationFailedError, TopicAuthorizationFailedError):
            pass
        finally:
            await producer.stop()
    return found


async def readable(kafka: KafkaSettings) -> set[str]:
    """Those of TOPICS that a consumer may read."""
    found = set()
    for topic in TOPICS:
        consumer = AIOKafkaConsumer(topic, **kafka.client_options(), auto_offset_reset="earliest")
        try:
            await consumer.start()
            await consumer.getone()
            found.add(topic)
        except TopicAuthorizationFailedError:
            pass
        finally:
            await consumer.stop()
    return found


@pytest.mark.parametrize("name", RIGHTS)
async def test_who_may_write_and_read_what(name: str, user: User) -> None:
    assert (await writable(user(name)), await readable(user(name))) == RIGHTS[name]


async def test_agents_have_topics_of_their_own(user: User) -> None:
    topics = {"tandem.crm.leads", "tandem.outbound.audience", "tandem.dead-letters", "tandem-agents-table-changelog"}
    await make_topics(user("tandem-agents"), topics)
    assert await writable(user("tandem-agents"), topics) == topics - {"tandem.crm.leads"}
    async with AIOKafkaConsumer("tandem.crm.leads", **user("tandem-agents").client_options()) as consumer:
        assert await consumer.end_offsets([TopicPartition("tandem.crm.leads", 0)])
    with pytest.raises(AssertionError):
        await make_topics(user("marketing"), {"tandem.crm.deals"})


async def test_a_department_reads_in_its_own_groups(user: User) -> None:
    async with AIOKafkaConsumer(
        "tandem.journeys", **user("marketing").client_options(), group_id="marketing-crm", auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
        await consumer.commit()
        assert (await consumer.committed(TopicPartition("tandem.journeys", 0))) == record.offset + 1
    consumer = AIOKafkaConsumer("tandem.journeys", **user("marketing").client_options(), group_id="sales-crm")
    with pytest.raises(GroupAuthorizationFailedError):
        await consumer.start()
    await consumer.stop()


async def test_the_publisher_s_transactions(user: User) -> None:
    options = user("tandem-publisher").producer_options()
    async with AIOKafkaProducer(**options, transactional_id="tandem-publisher") as producer, producer.transaction():
        for topic in FEED:
            await producer.send(topic, body(2))
        place = TopicPartition("tandem.transitions", 0)
        await producer.send_offsets_to_transaction({place: (1, "epoch")}, "tandem-publisher")
    options = user("marketing").producer_options()
    producer = AIOKafkaProducer(**options, transactional_id="tandem-publisher")
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await producer.start()
    await producer.stop()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong"}, "does not let tandem-gateway in.*check TANDEM_KAFKA_USERNAME"),
        ({"sasl_mechanism": "PLAIN"}, "does not let tandem-gateway in.*TANDEM_KAFKA_SASL_MECHANISM"),
        ({"ca_file": None}, "no TLS with Kafka.*check TANDEM_KAFKA_CA_FILE"),
        ({"security": "PLAINTEXT"}, "does not answer.*TANDEM_KAFKA_SECURITY"),
        ({"security": "SASL_PLAINTEXT"}, "does not answer.*TANDEM_KAFKA_SECURITY"),
        ({"security": "SSL"}, "does not answer.*TANDEM_KAFKA_SECURITY"),
    ],
)
async def test_who_is_not_let_in(change: dict[str, str | None], says: str, user: User) -> None:
    kafka = replace(user("tandem-gateway"), **change)
    for connect in (lambda: describe(kafka), lambda: ensure_topics(kafka), Gateway(kafka).start):
        with pytest.raises(KafkaUnreachable, match=says):
            await connect()


async def test_a_right_that_is_missing_is_named(user: User) -> None:
    with pytest.raises(TopicForbidden, match="marketing lacks DESCRIBE on topic tandem"):
        await describe(user("marketing"))
    with pytest.raises(TopicForbidden, match="marketing lacks CREATE or DESCRIBE on topic tandem"):
        await ensure_topics(user("marketing"))
    with pytest.raises(TopicForbidden, match="tandem-gateway lacks DESCRIBE_CONFIGS on topic tandem"):
        await ensure_topics(user("tandem-gateway"))


def test_files_for_tls_that_cannot_be_used(own_folder: Path) -> None:
    kafka = KafkaSettings("a:1", security="SSL", ca_file=str(own_folder / "none"))
    with pytest.raises(TlsFilesUnfit, match=r"TANDEM_KAFKA_CA_FILE names .*none"):
        kafka.ssl_context()
    (own_folder / "cert").write_text("no certificate")
    with pytest.raises(TlsFilesUnfit, match="TANDEM_KAFKA_CERT_FILE and TANDEM_KAFKA_KEY_FILE name"):
        replace(kafka, ca_file=None, cert_file=str(own_folder / "cert")).ssl_context()


async def test_gateway_and_worker_with_no_more_than_their_rights(user: User, database_url: str) -> None:
    gateway = Gateway(user("tandem-gateway"))
    await gateway.start()
    bodies = {"marketing": body(10), "sales": body(11, "call_logged", data={"direction": "outbound"})}
    try:
        for owner, value in bodies.items():
            [answer] = await gateway.publish(owner, value)
            assert isinstance(answer, Accepted)
    finally:
        await gateway.stop()
    connection = await asyncpg.connect(database_url)
    ids = [UUID(int=11), UUID(int=12)]

    async def applied() -> bool:
        return await connection.fetchval("SELECT count(*) FROM events WHERE id = ANY($1)", ids) == len(ids)

    with tandem_work(user("tandem-worker"), database_url) as process:

        async def applied_by_a_process_that_runs() -> bool:
            assert process.poll() is None, process.communicate()[1]
            return await applied()

        await until(applied_by_a_process_that_runs)
    read = await counts(connection)
    assert read["read"] == read["applied"] + read["duplicates"] + read["dead"] + read["holes"]
    await connection.close()


async def test_agents_with_no_more_than_their_rights(user: User) -> None:
    kafka, admin = user("tandem-agents"), user(ADMIN, ADMIN)
    async with agents(AgentSettings(kafka), crm.register):
        changes = [change("u", LEAD, LEAD | {"status": "accepted"}), b"no change"]
        await create_missing(kafka, {"tandem.crm.leads": {}, "tandem.dead-letters": {}})
        await produce_to(admin, "crm.leads", [(None, value) for value in changes])

        async def both_told() -> bool:
            facts = [record.value for record in await all_of(admin, "sales.events")]
            letters = [record.value for record in await all_of(admin, "dead-letters")]
            return any(b"lead_accepted" in fact for fact in facts) and b"no change" in letters

        await until(both_told)
    assert await committed(kafka, "crm.leads", "crm-leads")


async def test_a_worker_that_is_not_let_in_ends_with_the_reason(user: User, database_url: str) -> None:
    with tandem_work(user("tandem-worker", "wrong"), database_url) as process:
        _, said = await asyncio.to_thread(process.communicate)
    assert process.returncode == 1
    assert "does not let tandem-worker in" in said
    assert "Traceback" not in said


@contextmanager
def tandem_work(kafka: KafkaSettings, database_url: str) -> Iterator["subprocess.Popen[str]"]:
    """The real `tandem work`: `streams.engine.worker.run` within the Faust application, all in the user's own name."""
    environment = {
        "TANDEM_KAFKA": kafka.bootstrap,
        "TANDEM_KAFKA_SECURITY": kafka.security,
        "TANDEM_KAFKA_USERNAME": kafka.username or "",
        "TANDEM_KAFKA_PASSWORD": kafka.password or "",
        "TANDEM_KAFKA_CA_FILE": kafka.ca_file or "",
        "TANDEM_TOPIC_PREFIX": kafka.topic_prefix,
        "TANDEM_DATABASE_URL": database_url,
    }
    with subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", "work"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


async def test_the_recipe_again_changes_only_the_passwords_that_are_new(
    user: User, secured_kafka: str, secured_folder: Path
) -> None:
    rights = list_rights(secured_folder, secured_kafka)
    passwords = {"marketing": PASSWORDS["marketing"], "sales": "sales-2"}
    done = await asyncio.to_thread(run_recipe, secured_folder, secured_kafka, passwords)
    assert done.returncode == 0, done.stderr
    assert not any(password in done.stdout + done.stderr for password in passwords.values())
    assert list_rights(secured_folder, secured_kafka) == rights
    await until(lambda: lets_in(user("sales", "sales-2")))
    assert not await lets_in(user("sales"))
    assert await lets_in(user("marketing"))
    assert await writable(user("sales", "sales-2")) == {EVENTS["sales"]}
    assert await readable(user("sales", "sales-2")) == FEED


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ((), {}, "Usage: departments.sh BOOTSTRAP"),
        (("b:1", "none.properties", "tandem"), {}, "none.properties cannot be read"),
        (("b:1", os.devnull, "tandem events"), {}, "'tandem events' begins no topic's name"),
        (("b:1", os.devnull, "tandem", "bob"), {}, "there is no user bob: choose among marketing sales"),
        (("b:1", os.devnull, "tandem", "sales"), {}, "set SALES_PASSWORD or SALES_PASSWORD_FILE"),
        (("b:1", os.devnull, "tandem"), {"MARKETING_PASSWORD": "m"}, "no password for sales"),
        (("b:1", os.devnull, "tandem", "sales"), {"SALES_PASSWORD": "a b"}, "the password of sales holds a space"),
        (("b:1", os.devnull, "tandem", "sales"), {"SALES_PASSWORD": "grün"}, "not ASCII"),
        (("b:1", os.devnull, "tandem", "sales"), {"SALES_PASSWORD_FILE": "none"}, "names none, which cannot be read"),
        (("b:1", os.devnull, "tandem", "sales"), {"SALES_PASSWORD_FILE": str(RECIPE)}, "the password of sales holds"),
        (("b:1", os.devnull, "tandem", "sales"), {"SALES_PASSWORD": "s"}, "kafka-acls.sh failed: no broker"),
    ],
)
def test_mistakes_are_named_before_anything_is_changed(
    arguments: tuple[str, ...], environment: dict[str, str], says: str, own_folder: Path
) -> None:
    (own_folder / "bin").mkdir()
    for name in ("kafka-configs.sh", "kafka-acls.sh"):
        tool = own_folder / "bin" / name
        tool.write_text("#!/bin/sh\necho no broker\nexit 1\n")
        tool.chmod(0o755)
    done = run_tool(own_folder, str(RECIPE), *arguments, **environment)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "are set" not in done.stdout


def test_help_and_missing_tools(own_folder: Path) -> None:
    done = run_tool(own_folder, str(RECIPE), "--help")
    assert (done.returncode, done.stdout.startswith("Usage: departments.sh")) == (0, True)
    done = run_tool(own_folder, str(RECIPE), "b:1", os.devnull, "tandem")
    assert "kafka-configs.sh is not on the PATH" in done.stderr


def test_topics_are_named_as_in_the_recipe() -> None:
    assert event_topics(KafkaSettings("a:1")) == EVENTS
