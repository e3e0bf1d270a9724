"""Every operation has a contract, and answers keep to it."""

from typing import Any

import httpx

from api.access.policy import OPEN
from api.app import create_app
from schemas.answers.operations import ANSWERS
from tests.api.contracts import check
from tests.api.tokens import token
from tests.api.world import World, endpoints

_NOT_JSON = {"get_metrics", "get_dead_letter"}
_EVERYTHING = ("auditor", "marketing-planner", "sales-planner")


def operations() -> dict[str, dict[str, Any]]:
    """By operation id, from the description."""
    description = create_app(database_url="postgresql://nowhere", kafka=None).openapi()
    return {
        operation["operationId"]: operation | {"components": description["components"]}
        for path in description["paths"].values()
        for operation in path.values()
    }


def test_every_operation_has_a_success_schema_and_tells_errors_as_problems() -> None:
    found = operations()
    assert found.keys() == ANSWERS.keys() | _NOT_JSON
    for name, operation in found.items():
        assert operation["summary"], name
        assert operation["description"], name
        responses = operation["responses"]
        [success] = [status for status in responses if status.startswith("2")]
        for media in responses[success]["content"].values():
            assert media["schema"], name
        for status in responses.keys() - {success}:
            assert list(responses[status]["content"]) == ["application/problem+json"], (name, status)
        assert "default" in responses, name


def test_operation_ids_are_read_as_verb_and_noun() -> None:
    verbs = {"get", "list", "explain", "preview", "publish", "diff", "decide", "propose", "ask"}
    assert {name.partition("_")[0] for name in operations()} <= verbs


def test_references_lead_somewhere() -> None:
    description = create_app(database_url="postgresql://nowhere", kafka=None).openapi()
    text = str(description)
    for name in text.split("#/components/schemas/")[1:]:
        assert name.partition("'")[0] in description["components"]["schemas"]


async def test_every_answer_keeps_to_its_contract(world: World) -> None:
    """The case of each endpoint, as somebody who sees everything and as a department."""
    description = (await world.get("/openapi.json", "auditor")).json()
    _, key = await world.key("marketing")
    seen: set[str] = set()
    for endpoint in sorted(endpoints(world.app) - {"GET /openapi.json"}):
        method, _, path = endpoint.partition(" ")
        template = path.replace(":path}", "}")
        own = key if endpoint == "POST /v1/events" else token(*_EVERYTHING)
        for credentials in (own, token("marketing-planner"), token("sales"), None):
            answer = await world.ask(endpoint, credentials)
            check(description, method, template, answer)
            if answer.is_success:
                seen.add(endpoint)
            assert credentials is not None or answer.status_code == 401 or endpoint in OPEN
    assert {"GET /openapi.json"} == endpoints(world.app) - seen


async def test_owner_is_the_old_name_of_department(world: World) -> None:
    _, key = await world.key("marketing")
    headers = {"Authorization": f"Bearer {key}"}

    async def publish(query: str) -> httpx.Response:
        return await world.client.post(f"/v1/events?{query}", headers=headers, content=b"[]")

    now, before = await publish("department=marketing"), await publish("owner=marketing")
    assert now.json() == before.json()
    assert "deprecation" not in now.headers
    assert before.headers["deprecation"] == "true"
    assert (await publish("owner=sales")).status_code == 403
    for wrong in ("", "owner=marketing&department=marketing", "department=both"):
        answer = await publish(wrong)
        assert answer.status_code == 422
        assert "department" in answer.json()["detail"]
