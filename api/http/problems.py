"""Errors over HTTP: application/problem+json (RFC 9457)."""

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response


def problem(status: int, title: str, detail: str, **headers: str) -> Response:
    """A problem document."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(
        orjson.dumps(body),
        status,
        media_type="application/problem+json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


async def on_http_error(_: Request, error: Exception) -> Response:
    """Unknown paths, wrong methods and what routes raise."""
    assert isinstance(error, HTTPException)
    headers = {name.replace("-", "_"): value for name, value in (error.headers or {}).items()}
    titles = {404: "Not found", 405: "Method not allowed", 413: "Too large", 422: "Unprocessable"}
    return problem(error.status_code, titles.get(error.status_code, "Error"), str(error.detail), **headers)


async def on_invalid_request(_: Request, error: Exception) -> Response:
    """Parameters that do not fit; names the first."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(422, "Unprocessable", f"{where}: {first['msg']}")


async def on_unexpected(_: Request, __: Exception) -> Response:
    """A fault of ours: the log has it, the answer does not."""
    return problem(500, "Internal error", "the request could not be answered; the server's log says why")
