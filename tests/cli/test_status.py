"""`tandem status`: the health of publisher and agents."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from cli.render.status import status_parts
from cli.settings import Settings, load_settings
from cli.stack.status import Status, _agents, as_answer, look
from cli.terminal import show_parts
from deploy.embedded.process import free_port
from store.publications import has_publisher, publisher_connection, try_to_lead
from store.status import Progress
from streams.kafka import KafkaSettings, feed_topics
from tests.support import served


async def test_who_publishes_is_told_by_the_lock(database_url: str, kafka_settings: KafkaSettings) -> None:
    nowhere = KafkaSettings(bootstrap="127.0.0.1:1", topic_prefix=kafka_settings.topic_prefix)
    settings = Settings(nowhere, database_url, "http://127.0.0.1:1", None, 30)
    name = feed_topics(nowhere).publisher
    assert (await look(settings)).parts["publisher"] == "nobody publishes"
    async with publisher_connection(database_url) as connection:
        assert await try_to_lead(connection, name)
        assert (await look(settings)).parts["publisher"] == "ok"
        for other in range(40):  # of numbers with either sign
            assert not await has_publisher(connection, f"{name}-{other}")
            assert await try_to_lead(connection, f"{name}-{other}")
            assert await has_publisher(connection, f"{name}-{other}")
    assert (await look(settings)).parts["publisher"] == "nobody publishes"
    without = KafkaSettings(bootstrap="127.0.0.1:1", idempotent=False)
    assert set((await look(Settings(without, database_url, settings.api, None, 30))).parts) == {
        *("database", "kafka", "api", "worker")
    }


async def test_a_database_that_does_not_answer_has_no_publisher() -> None:
    nowhere = KafkaSettings(bootstrap="127.0.0.1:1")
    parts = (
        await look(Settings(nowhere, "postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1", None, 30))
    ).parts
    assert parts["publisher"] == "nobody publishes"
    assert "does not answer" in parts["database"]


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ([{"agent": "crm", "error": None}], "ok"),
        ([{"agent": "crm", "error": None}, {"agent": "alerts", "error": "[raised]"}], "alerts keeps failing: [raised]"),
        (None, "does not answer at"),
    ],
)
async def test_agents(shown: Any, says: str) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        if shown is not None:
            app = Starlette(routes=[Route("/agents", lambda _: JSONResponse(shown))])
            await stack.enter_async_context(served(app, port))
        assert (await _agents(f"http://127.0.0.1:{port}")).startswith(says)


def test_the_agents_page_is_the_one_of_the_stack(tmp_path: Path) -> None:
    stack = {"kafka": "h:1", "database_url": "postgresql://h/d"}
    for more in ({}, {"agents": "http://127.0.0.1:7"}):
        (tmp_path / "stack.json").write_text(json.dumps({**stack, **more}))
        assert load_settings(tmp_path, {}).agents == more.get("agents")


def test_topics_and_reasons_are_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    topic = "a-long-prefix-of-somebody-s-own." * 4 + "marketing.events"
    partition = Progress(topic, 0, 10**9, 10**9, 10**9, 0, 0, 0, True)
    status = Status({"agents": "x keeps failing: [raised]"}, [partition], {(topic, 0): 10**9}, None)
    show_parts(*status_parts(as_answer(status)))
    printed = capsys.readouterr().out
    assert "x keeps failing: [raised]" in printed
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    usual = Progress("tandem.marketing.events", 0, 10**6, 10**6, 10**6, 0, 0, 0, True)
    show_parts(*status_parts(as_answer(Status({}, [usual], {}, None))))
    assert "tandem.marketing.events " in capsys.readouterr().out
