"""The agents' page: for this machine, and for no page from elsewhere in its browser."""

import asyncio
from pathlib import Path

import httpx
import pytest

from deploy.embedded.process import free_port
from streams.agents.app import create_app
from streams.agents.page import serve_page
from streams.agents.settings import AgentSettings
from streams.agents.tandem import Tandem
from streams.kafka import KafkaSettings
from streams.loopback import comes_from_here


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, 200),
        ({"Host": "localhost:8766"}, 200),
        ({"Host": "[::1]:8766", "Origin": "http://127.0.0.1:3000"}, 200),
        ({"Host": "rebound.example:8766"}, 403),
        ({"Host": "127.0.0.1.example"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_who_is_answered(tmp_path: Path, headers: dict[str, str], answer: int) -> None:
    tandem = Tandem(create_app("x", tmp_path), AgentSettings(KafkaSettings("localhost:1")))
    port = free_port()
    async with serve_page(tandem, port), httpx.AsyncClient(trust_env=False) as client:
        async with asyncio.timeout(10):
            while True:
                try:
                    got = [
                        await client.get(f"http://127.0.0.1:{port}{path}", headers=headers) for path in ("/", "/agents")
                    ]
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
    assert [one.status_code for one in got] == [answer, answer]


def test_a_request_names_one_host() -> None:
    assert not comes_from_here([])
    assert not comes_from_here([(b"host", b"localhost"), (b"host", b"localhost")])
