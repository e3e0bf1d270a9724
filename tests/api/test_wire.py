"""Ways around access, on the wire, that are none."""

import asyncio
from typing import Any

import pytest

from api.access.policy import ROLES
from deploy.embedded.process import free_port
from tests.api.generated import answers
from tests.api.tokens import bearer, token
from tests.api.world import World
from tests.support import served


async def raw(port: int, request: bytes) -> bytes:
    """What a server answers to these bytes until it closes the connection: at the latest, after a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


_PATHS = (
    *("/v1/journeys", "/v1/identity/../journeys", "//v1/journeys", "/v1//journeys", "/./v1/journeys", "/V1/journeys"),
    *("/healthz/../v1/journeys", "/healthz/%2e%2e/v1/journeys", "/healthz%2f..%2fv1%2fjourneys", "/%76%31/journeys"),
    *("/v1/journeys/..%2f", "/v1/journeys;/healthz", "/v1/journeys?/healthz", "/v1/journeys#/healthz", "/v1/journeys/"),
    *("/v1/journeys%00", "/v1/journeys%0a", "http://localhost/v1/journeys", "http://localhost/healthz/../v1/journeys"),
)
_FORWARDED = ("X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-Forwarded-Prefix: /healthz")
_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: QUFBQQ==")
_INSIDE = "GET /v1/journeys HTTP/1.1\r\nHost: x"
TRICKS = [
    *(f"GET {path} HTTP/1.1" for path in _PATHS),
    *(f"{method} /v1/journeys HTTP/1.1" for method in ("HEAD", "OPTIONS", "POST", "TRACE", "get", "PROPFIND")),
    "\r\n".join(
        ("GET /v1/journeys HTTP/1.1", *_FORWARDED, "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost")
    ),
    "\r\n".join(("GET /healthz HTTP/1.1", "X-Original-URL: /v1/journeys", "X-HTTP-Method-Override: GET")),
    "\r\n".join(("GET /v1/journeys HTTP/1.1", *_UPGRADE)),
    "GET /v1/journeys HTTP/1.0",
    f"GET /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n{_INSIDE}",
    f"POST /healthz HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{_INSIDE}",
]


@pytest.mark.slow
async def test_nothing_gets_around(world: World) -> None:
    """Raw requests to a real server: without credentials, and as somebody who may not."""
    _, key = await world.key("marketing")
    port = free_port()
    async with served(world.app, port):
        allowed = f"GET /v1/journeys HTTP/1.0\r\nAuthorization: Bearer {token('auditor')}\r\n\r\n"
        assert b"journey_id" in await raw(port, allowed.encode())
        for credentials in ("", f"Authorization: Bearer {key}\r\n", f"Authorization: Bearer {key}\r\n" * 2):
            answers = await asyncio.gather(*(raw(port, _with(trick, credentials)) for trick in TRICKS))
            for trick, answer in zip(TRICKS, answers, strict=True):
                assert _statuses(answer), trick
                assert b"journey_id" not in answer, trick
                assert b'"items"' not in answer, trick
                for status in _statuses(answer):
                    assert status >= 400 or b'"status":"ok"' in answer, (trick, answer)


def _with(trick: str, credentials: str) -> bytes:
    line, _, rest = trick.partition(" HTTP/1.")
    return f"{line} HTTP/1.{rest}\r\nHost: localhost\r\n{credentials}Connection: close\r\n\r\n".encode()


def _statuses(answer: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]


async def test_websockets_are_closed(world: World) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await world.app({"type": "websocket", "path": "/v1/journeys", "headers": [], "query_string": b""}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.slow
@pytest.mark.parametrize("role", sorted(ROLES))
async def test_whatever_the_description_allows_gets_an_answer(world: World, role: str) -> None:
    """As in test_http.py, with access on and each role."""
    async for _ in answers(world.client, "http://api", bearer(token(role)), examples=10):
        pass  # the answer is below 500, which is all
