"""The world that tests of access ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.access.caller import AccessSettings
from api.access.tokens import OidcSettings
from api.app import create_app
from streams.kafka import KafkaSettings
from tests.api.tokens import AUDIENCE, ISSUER, publish
from tests.api.world import EVENTS, World
from tests.support import produce, project


@pytest.fixture
async def world(kafka_settings: KafkaSettings, database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Ana and Bob, dead letters of each topic, and an issuer."""
    await produce(kafka_settings, EVENTS)
    await project(kafka_settings, database_url, len(EVENTS))
    access = AccessSettings(OidcSettings(ISSUER, AUDIENCE, publish(tmp_path / "jwks.json")))
    app = create_app(database_url=database_url, kafka=kafka_settings, access=access)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            yield World(app, client, database_url, kafka_settings)
