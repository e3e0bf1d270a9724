"""Alerts to a webhook that is down, slow, wrong or rude: each arrives, in order per journey, signed."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from deploy.embedded.process import free_port
from streams.agents.alerts import alert_id, register
from streams.agents.files import AgentsFile
from streams.agents.host import run
from streams.agents.settings import AgentSettings, InvalidWebhook, Webhook, webhook_of
from streams.agents.webhook import Patience, deliver, signature
from streams.kafka import KafkaSettings
from tests.streams.agents.support import agents, all_of, committed, make_topics, produce_to, transition
from tests.streams.agents.test_register import spawn
from tests.support import until

SECRET = "s" * 40
#: A five-minute outage at the default limits is as many tries as a few tenths of a second at these.
QUICK = Patience(timeout=0.3, first=0.01, longest=0.05)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def say(writer: asyncio.StreamWriter, *, status: str, headers: str = "") -> None:
    """A whole answer."""
    writer.write(f"HTTP/1.1 {status}\r\n{headers}Content-Length: 2\r\nConnection: close\r\n\r\nok".encode())
    await writer.drain()


async def hang(writer: asyncio.StreamWriter) -> None:
    """No answer, for longer than anybody waits."""
    await asyncio.sleep(QUICK.timeout * 2)


async def break_off(writer: asyncio.StreamWriter) -> None:
    """Half an answer, and the connection closed."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhal")
    await writer.drain()


OK: Answer = partial(say, status="200 OK")
RUDE: list[Answer] = [
    partial(say, status="500 Oops"),
    partial(say, status="302 Found", headers="Location: http://127.0.0.1:1/elsewhere\r\n"),
    partial(say, status="429 Slow down", headers="Retry-After: 0\r\n"),
    partial(say, status="404 Not Found"),
    break_off,
    hang,
]


class Receiver:
    """A real HTTP server that answers as told, the last way for ever, and checks each signature."""

    def __init__(self, *answers: Answer, port: int | None = None) -> None:
        self.answers, self.port = list(answers) or [OK], port or free_port()
        self.seen: list[dict[str, Any]] = []  #: every body, refused ones too
        self.taken: list[dict[str, Any]] = []  #: those that were answered with 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Serve while inside."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
            expected = hmac.new(SECRET.encode(), headers["tandem-timestamp"].encode() + b"." + body, hashlib.sha256)
            assert headers["tandem-signature"] == f"v1={expected.hexdigest()}"
            alert = orjson.loads(body)
            assert headers["tandem-alert-id"] == alert["alert_id"]
            self.seen.append(alert)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await answer(writer)
            if answer is OK:
                self.taken.append(alert)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def settings(kafka: KafkaSettings, receiver: Receiver) -> AgentSettings:
    return AgentSettings(kafka, webhook=Webhook(receiver.url, SECRET))


def in_order(alerts: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Journey -> the changes that it was alerted of, in the order of their first arrival."""
    found: dict[str, dict[int, None]] = {}
    for alert in alerts:
        found.setdefault(alert["journey_id"], {})[alert["seq"]] = None
    return {journey: list(changes) for journey, changes in found.items()}


async def begin(kafka: KafkaSettings) -> None:
    """Let the alerts begin now: what was there before is no news to them."""

    async def seen() -> bool:
        return await committed(kafka, "transitions", "alerts") > 0

    await make_topics(kafka, "transitions")
    await produce_to(kafka, "transitions", [transition(0, journey=number) for number in range(30)])
    async with agents(AgentSettings(kafka, webhook=Webhook("http://127.0.0.1:1/", SECRET)), register):
        await until(seen)


async def test_a_rude_receiver_gets_each_alert_until_it_takes_it(kafka_settings: KafkaSettings) -> None:
    await begin(kafka_settings)
    receiver = Receiver(*RUDE, OK, *RUDE, OK)
    sent = [transition(number, journey=number % 3) for number in range(1, 10)]
    sent.insert(4, transition(99, to="visitor"))
    sent.insert(5, (b"k", b"[]"))
    await produce_to(kafka_settings, "transitions", sent)

    async def all_taken() -> bool:
        return len(receiver.taken) == 9

    async with agents(settings(kafka_settings, receiver), partial(register, patience=QUICK)), receiver.up():
        await until(all_taken)
    assert in_order(receiver.taken) == {
        str(UUID(int=journey)): [number for number in range(1, 10) if number % 3 == journey] for journey in range(3)
    }
    assert len(receiver.seen) == 9 + 2 * len(RUDE)
    assert {alert["stage_to"] for alert in receiver.seen} == {"opportunity"}
    assert await committed(kafka_settings, "transitions", "alerts") == 41
    assert [record.value for record in await all_of(kafka_settings, "dead-letters")] == [b"[]"]


async def test_through_an_outage_nothing_is_lost_and_one_record_is_held(kafka_settings: KafkaSettings) -> None:
    await begin(kafka_settings)
    receiver = Receiver(OK)
    sent = [transition(number, journey=number % 7) for number in range(1, 501)]
    await produce_to(kafka_settings, "transitions", sent)
    tandems: list[Any] = []
    tries = 0

    def watched(app: Any, tandem: Any) -> None:
        tandems.append(tandem)
        register(app, tandem, patience=QUICK)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    async def tried_often() -> bool:
        # what 5 minutes come to with pauses of up to a minute
        return tries >= 12

    async def all_taken() -> bool:
        return len(receiver.taken) >= 500

    async with agents(settings(kafka_settings, receiver), watched):
        async with await asyncio.start_server(refuse, "127.0.0.1", receiver.port):
            await until(tried_often)
        [records] = tandems[0].records.values()
        assert records.current is not None
        assert records.finished == 0, "one record is under way, and no other was handed out"
        async with receiver.up():
            await until(all_taken)
    assert in_order(receiver.taken) == {
        str(UUID(int=journey)): [number for number in range(1, 501) if number % 7 == journey] for journey in range(7)
    }


@pytest.mark.slow
async def test_kill_9_during_an_outage_loses_no_alert(kafka_settings: KafkaSettings) -> None:
    await begin(kafka_settings)
    receiver = Receiver(partial(say, status="503 Down"))
    sent = [transition(number, journey=number % 5) for number in range(1, 61)]
    await produce_to(kafka_settings, "transitions", sent)
    environment = {"TANDEM_WEBHOOK_URL": receiver.url, "TANDEM_WEBHOOK_SECRET": SECRET, "NO_PROXY": "127.0.0.1"}

    async def has(condition: Callable[[], bool]) -> bool:
        return condition()

    async with receiver.up():
        for step, enough in enumerate((lambda: len(receiver.seen) >= 1, lambda: len(receiver.taken) >= 20)):
            process = spawn(kafka_settings, "alerts", **environment)
            try:
                await until(partial(has, enough))
            finally:
                process.kill()
                process.communicate()
            receiver.answers = [OK] if step == 0 else receiver.answers
        process = spawn(kafka_settings, "alerts", **environment)
        try:
            await until(partial(has, lambda: len({alert["alert_id"] for alert in receiver.taken}) == 60))
        finally:
            process.kill()
            process.communicate()
    assert in_order(receiver.taken) == {
        str(UUID(int=journey)): [number for number in range(1, 61) if number % 5 == journey] for journey in range(5)
    }


@pytest.mark.parametrize(
    ("wish", "least"),
    [("7", 7.0), ("Wed, 25 Nov 2026 12:00:30 GMT", 30.0), ("99999", 3600.0), ("soon", 0.5), ("-4", 0.5)],
)
async def test_retry_after_is_respected(wish: str, least: float) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    receiver = Receiver(partial(say, status="503 Later", headers=f"Retry-After: {wish}\r\n"), OK)
    async with receiver.up(), httpx.AsyncClient() as client:
        await deliver(
            client,
            Webhook(receiver.url, SECRET),
            "a",
            b'{"alert_id": "a"}',
            patience=Patience(),
            jitter=lambda: 1.0,
            now=lambda: datetime(2026, 11, 25, 12, tzinfo=UTC),
            sleep=note,
        )
    assert pauses == [least]


def test_pauses_double_up_to_the_longest_and_are_spread() -> None:
    patience = Patience(first=1.0, longest=10.0)
    assert [patience.pause(failures, 1.0) for failures in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]
    assert patience.pause(5, 0.0) == 5.0


def test_an_alert_s_id_is_the_change_s() -> None:
    change, other = orjson.loads(transition(1)[1]), orjson.loads(transition(2)[1])
    assert alert_id(change) == alert_id(dict(change)) != alert_id(other)


def test_the_signature_is_over_time_and_body() -> None:
    expected = hmac.new(b"key", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signature("key", "1700000000", b"{}") == f"v1={expected}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8/x", "http://localhost/x", "http://[::1]/x", "https://example.com"])
def test_addresses_that_may_be_used(url: str) -> None:
    assert webhook_of(url, SECRET).url == url


@pytest.mark.parametrize("url", ["http://example.com/x", "http://10.0.0.1/", "ftp://example.com", "example.com", ""])
def test_addresses_that_may_not(url: str) -> None:
    with pytest.raises(InvalidWebhook):
        webhook_of(url, SECRET)


def test_without_a_secret_there_are_no_alerts() -> None:
    with pytest.raises(InvalidWebhook, match="TANDEM_WEBHOOK_SECRET"):
        webhook_of("https://example.com", None)
    with pytest.raises(InvalidWebhook, match="TANDEM_WEBHOOK_SECRET has 15 characters"):
        webhook_of("https://example.com", "s" * 15)
    assert "secret" not in repr(Webhook("https://example.com", "secret"))


async def test_without_an_address_there_are_no_alerts() -> None:
    with pytest.raises(InvalidWebhook, match="TANDEM_WEBHOOK_URL"):
        await run(AgentSettings(KafkaSettings("x:1")), [AgentsFile("alerts", register)], None, asyncio.Event())
