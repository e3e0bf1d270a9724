"""The Faust application as the projector's host."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import faust
import pytest

from schemas.errors import TandemError
from streams.app import Project, create_app, host
from streams.engine.worker import run
from streams.kafka import KafkaSettings
from tests.support import RULES, body, produce


async def run_app(app: faust.App, kafka: KafkaSettings, project: Project, stop: asyncio.Event) -> None:
    """`host`, and close the loop of the consumer's thread, which Faust makes and, without agents, never uses."""
    try:
        await host(app, kafka, project, stop)
    finally:
        consumer: Any = app.consumer
        consumer._thread.thread_loop.close()


async def test_it_projects_and_gives_its_partitions_back(
    kafka_settings: KafkaSettings, database_url: str, own_folder: Path
) -> None:
    await produce(kafka_settings, [("marketing", n % 3, body(n)) for n in range(30)])
    stop = asyncio.Event()

    async def project(stop: asyncio.Event) -> None:
        await run(kafka_settings, database_url, RULES, stop)

    hosted = asyncio.create_task(run_app(create_app(kafka_settings, own_folder), kafka_settings, project, stop))
    connection = await asyncpg.connect(database_url)
    while await connection.fetchval("SELECT count(*) FROM events") < 30:
        assert not hosted.done(), hosted.result()
        await asyncio.sleep(0.02)
    stop.set()
    await hosted
    assert await connection.fetchval("SELECT count(*) FROM partitions WHERE worker IS NOT NULL") == 0
    await connection.close()


async def test_the_projector_s_error_ends_the_application(kafka_settings: KafkaSettings, own_folder: Path) -> None:
    async def fail(_: asyncio.Event) -> None:
        raise TandemError("restore the topic")

    app = create_app(kafka_settings, own_folder)
    with pytest.raises(TandemError, match="restore the topic"):
        await asyncio.wait_for(run_app(app, kafka_settings, fail, asyncio.Event()), 30)


async def test_credentials_follow_the_settings(own_folder: Path) -> None:  # Faust asks for the running loop
    kafka = KafkaSettings("a:1,b:2", security="SASL_SSL", username="u", password="p")
    app = create_app(kafka, own_folder)
    assert [str(url) for url in app.conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert isinstance(app.conf.broker_credentials, faust.SASLCredentials)
    assert app.conf.broker_credentials.ssl_context is not None
    assert app.conf.broker_credentials.mechanism.value == "SCRAM-SHA-512"
    assert create_app(KafkaSettings("a:1"), own_folder).conf.broker_credentials is None
