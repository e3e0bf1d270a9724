"""The agents' status page, as HTML and as JSON, on a port of this machine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from html import escape
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from streams.agents.tandem import Tandem
from streams.loopback import comes_from_here

_HEAD = "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=5><title>Tandem's agents</title>"


@asynccontextmanager
async def serve_page(tandem: Tandem, port: int) -> AsyncIterator[None]:
    """Serve the page while inside."""
    app = Starlette(routes=[Route("/", _page), Route("/{name}", _json)])
    app.state.shown = {"agents": lambda: agents_view(tandem), **tandem.shown}
    server = _Server(
        uvicorn.Config(_from_here(app), host="127.0.0.1", port=port, log_level="warning", access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _from_here(app: ASGIApp) -> ASGIApp:
    """Refuse requests of foreign web pages in a browser on this machine."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not comes_from_here(scope["headers"]):
            refusal = PlainTextResponse("the agents' page serves this machine only: use 127.0.0.1 or localhost", 403)
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def agents_view(tandem: Tandem) -> list[dict[str, Any]]:
    """Each agent, what it reads, how much of it is finished, and what it last failed with; counted since the start."""
    return [
        {
            "agent": name,
            "topic": records.topic,
            "finished": records.finished,
            "dead_letters": records.dead_letters,
            "failures": records.failures,
            "error": records.last_error,
        }
        for name, records in sorted(tandem.records.items())
    ]


async def _json(request: Request) -> JSONResponse:
    show = request.app.state.shown.get(request.path_params["name"])
    if show is None:
        raise HTTPException(404, f"there are {', '.join(request.app.state.shown)}")
    return JSONResponse(show())


async def _page(request: Request) -> HTMLResponse:
    parts = [f"<h2>{escape(name)}</h2>{_table(show())}" for name, show in request.app.state.shown.items()]
    return HTMLResponse(_HEAD + "".join(parts))


def _table(value: Any) -> str:
    """Objects and lists as nested tables."""
    if isinstance(value, list):
        return "".join(_table(item) for item in value)
    if isinstance(value, dict):
        rows = (f"<tr><th align=left>{escape(str(key))}<td>{_table(part)}" for key, part in value.items())
        return f"<table>{''.join(rows)}</table>"
    return "-" if value is None else escape(str(value))


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process that hosts us."""
        yield
