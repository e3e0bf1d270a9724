"""Errors over HTTP: application/problem+json (RFC 9457)."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.http.answers import encode
from schemas.answers.parts import Answer
from schemas.answers.problems import Problem

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **headers: str) -> Response:
    """A problem document."""
    return as_problem(Problem(title=title, status=status, detail=detail), status, **headers)


def as_problem(body: Answer, status: int, **headers: str) -> Response:
    """A problem document with more fields than every problem has."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(encode(body), status, media_type=MEDIA_TYPE, headers=names)


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
    """A bug: the log has it, the answer does not."""
    return problem(500, "Internal error", "something went wrong; the server's log has the details")
