"""Where a peer runs: topics filled with the workload, and a database of its own."""

from uuid import uuid4

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.services import Servers, Testbed
from store.migrate import create_database
from streams.kafka import KafkaSettings, ensure_topics, event_topics

#: Both peers write the same columns, but `last_type` is Faust's and `stage` is Kafka Streams'.
_TABLES = """
    CREATE TABLE journeys (
        journey text PRIMARY KEY, events bigint NOT NULL, first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL, last_type text, channels jsonb NOT NULL, score bigint NOT NULL, stage text
    ) WITH (fillfactor = 80);
    CREATE TABLE changes (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, journey text NOT NULL, event text NOT NULL,
        type text NOT NULL, at timestamptz NOT NULL
    );
"""


def name_of(testbed: Testbed) -> str:
    """No other run has it: consumer groups, logs and state are named after it."""
    return testbed.kafka.topic_prefix


def input_of(testbed: Testbed) -> str:
    """The topic that the workload lies in."""
    return event_topics(testbed.kafka)["marketing"]


def output_of(testbed: Testbed) -> str:
    """The topic that a peer may publish journeys to."""
    return f"{name_of(testbed)}.journeys"


async def make_peer_testbed(on: Servers) -> Testbed:
    """Fresh topics and a fresh database with empty tables."""
    name = f"peer_{uuid4().hex[:8]}"
    url = await create_database(on.postgres, name)
    connection = await asyncpg.connect(url)
    await connection.execute(_TABLES)
    await connection.close()
    testbed = Testbed(KafkaSettings(bootstrap=on.bootstrap, topic_prefix=name), url, on.folder)
    await ensure_topics(testbed.kafka)
    admin = AIOKafkaAdminClient(**testbed.kafka.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(output_of(testbed), testbed.kafka.partitions, 1)])
    await admin.close()
    return testbed
