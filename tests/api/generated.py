"""Requests made from the API's description by schemathesis."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.api.contracts import check


async def answers(
    client: httpx.AsyncClient, base_url: str, headers: dict[str, str], examples: int
) -> AsyncIterator[httpx.Response]:
    """What is answered to so many requests to each endpoint: never a server error, always what the description says."""
    description = (await client.get("/openapi.json", headers=headers)).json()
    schema = schemathesis.openapi.from_dict(description)
    for operation in schema.get_all_operations():
        for case in _cases(operation.ok(), examples):
            request = case.as_transport_kwargs(base_url=base_url)
            answer = await client.request(
                request["method"],
                request["url"],
                params=request.get("params"),
                content=request.get("data") if isinstance(request.get("data"), bytes) else None,
                headers=headers,
            )
            assert answer.status_code < 500, (case, answer.text)
            check(description, case.operation.method, case.operation.path, answer)
            yield answer


def _cases(operation: Any, examples: int) -> list[Any]:
    found: list[Any] = []

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def collect(case: Any) -> None:
        found.append(case)

    given(case=operation.as_strategy())(collect)()
    return found
