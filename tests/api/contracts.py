"""Answers over HTTP against the API's description."""

from typing import Any

import httpx
import jsonschema_rs
import msgspec
import orjson

from schemas.answers.operations import ANSWERS

_JSON = ("application/json", "application/problem+json")


def check(description: dict[str, Any], method: str, path: str, answer: httpx.Response) -> None:
    """That an answer is such as the description says of the operation, whose path is a template."""
    operation = description["paths"][path][method.lower()]
    status = str(answer.status_code)
    assert status in operation["responses"] or answer.status_code >= 400, (operation["operationId"], status)
    response = operation["responses"].get(status) or operation["responses"]["default"]
    media = answer.headers["content-type"].partition(";")[0]
    assert media in response["content"], (operation["operationId"], status, media)
    bodies = answer.content.splitlines() if media == "application/x-ndjson" else [answer.content]
    if media in (*_JSON, "application/x-ndjson"):
        for body in bodies:
            check_body(description, response["content"][media]["schema"], body)
            if answer.is_success:
                _has_no_more(operation["operationId"], body)


def check_body(description: dict[str, Any], schema: dict[str, Any], body: bytes) -> None:
    """That JSON is such as a schema of the description says."""
    jsonschema_rs.validate({**schema, "components": description["components"]}, orjson.loads(body))


def _has_no_more(operation: str, body: bytes) -> None:
    """A field that the contract does not have would be read by nobody: an answer is what its type keeps of it."""
    kept = []
    for type_ in ANSWERS[operation]:
        try:
            kept.append(msgspec.to_builtins(msgspec.json.decode(body, type=type_)))
        except msgspec.ValidationError:
            continue
    assert orjson.loads(body) in kept, operation
