"""The OpenAPI description: FastAPI's, with the contracts of success answers and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.answers.export import answer_schemas, operation_schemas, schema_of
from schemas.answers.problems import Problem

#: Operations whose success answer is no JSON, with its media type.
_NOT_JSON = {"get_metrics": "text/plain", "get_dead_letter": "application/octet-stream"}
_LINES = {"ask_what_if": "application/x-ndjson"}
_ERROR = "An error: `detail` says what is wrong, and what to do about it"
_PROBLEM = {"application/problem+json": {"schema": schema_of((Problem,))}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of all operations of an application, made once."""
    if app.openapi_schema is None:
        description = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = operation_schemas()
        for path in description["paths"].values():
            for operation in path.values():
                operation["responses"] = _responses(operation, schemas)
        components = description.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors: ours are problems
            components.pop(name, None)
        components.update(answer_schemas())
        app.openapi_schema = description
    return app.openapi_schema


def _responses(operation: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The success answer with its schema, and every error as a problem."""
    name, responses = operation["operationId"], dict[str, Any]()
    for status, response in sorted(operation["responses"].items()):
        if status.startswith("2"):
            declared = {media: about for media, about in response.get("content", {}).items() if about.get("schema")}
            responses[status] = response | {"content": declared | _content(name, schemas)}
        elif status != "422":
            responses[status] = {"content": _PROBLEM} | response
    return {**responses, "default": {"description": _ERROR, "content": _PROBLEM}}


def _content(operation: str, schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if operation in _NOT_JSON:
        return {_NOT_JSON[operation]: {"schema": {"type": "string"}}}
    return {_LINES.get(operation, "application/json"): {"schema": schemas[operation]}}
