"""The released contracts: compatible, valid, and what the SDK and the docs are made from."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.compatibility import incompatibilities, present_schemas, released_schemas
from schemas.export import asyncapi, markdown

ROOT = Path(__file__).parents[2]


def test_the_present_contracts_are_compatible_with_the_released_ones() -> None:
    assert incompatibilities(released_schemas(), present_schemas()) == []


def test_every_present_contract_is_released() -> None:
    assert present_schemas() == released_schemas(), "run `tandem contracts release`"


@pytest.mark.parametrize("name", sorted(present_schemas()))
def test_schemas_are_json_schema_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(present_schemas()[name])


def test_a_valid_event_fits_its_schema_and_a_broken_one_does_not() -> None:
    schema = present_schemas()["form_submitted.v1.json"]
    event: dict[str, Any] = {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "type": "form_submitted",
        "source": "web",
        "occurred_at": "2026-01-02T03:04:05Z",
        "identities": [{"type": "email", "value": "a@b.c"}],
        "data": {"form": "f"},
    }
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(event)
    assert not validator.is_valid(event | {"data": {}})


def _changed(name: str, path: list[str], value: Any) -> dict[str, dict[str, Any]]:
    """The present schemas with one place changed; a value of None removes it."""
    schemas = copy.deepcopy(present_schemas())
    place: Any = schemas[name]
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return schemas


@pytest.mark.parametrize(
    ("path", "value", "field", "rule"),
    [
        (["properties", "data", "properties", "title"], None, "data.title", "field removed"),
        (["properties", "data", "required"], ["url", "title"], "data.title", "newly required"),
        (["properties", "data", "properties", "url", "maxLength"], 10, "data.url", "maxLength lowered"),
        (["properties", "data", "properties", "url", "pattern"], "^https", "data.url", "pattern changed"),
        (["properties", "data", "properties", "url", "type"], "integer", "data.url", "type narrowed"),
        (["x-owner"], "sales", "", "owner changed"),
    ],
)
def test_incompatible_changes_are_named(path: list[str], value: Any, field: str, rule: str) -> None:
    found = incompatibilities(released_schemas(), _changed("page_viewed.v1.json", path, value))
    assert [(one.schema, one.field, one.rule) for one in found] == [("page_viewed.v1.json", field, rule)]


def test_a_removed_type_is_named_and_a_new_one_is_welcome() -> None:
    fewer = {name: schema for name, schema in present_schemas().items() if name != "page_viewed.v1.json"}
    assert [one.rule for one in incompatibilities(present_schemas(), fewer)] == ["type removed"]
    assert incompatibilities(fewer, present_schemas()) == []


def test_asyncapi_names_every_topic_and_message() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {"tandem.marketing.events", "tandem.sales.events", "tandem.joint.events"}
    named = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert named == set(document["components"]["messages"])
    json.dumps(document)


def test_the_sdk_is_in_step_with_the_released_contracts(tmp_path: Path) -> None:
    made = tmp_path / "events.py"
    subprocess.run([sys.executable, ROOT / "sdk" / "generate.py", ROOT / "schemas" / "released", made], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", "--line-length", "120", made], check=True)
    assert made.read_text("utf-8") == (ROOT / "sdk" / "tandem" / "events.py").read_text("utf-8"), (
        "run `python sdk/generate.py schemas/released` and `ruff format sdk`"
    )


def test_the_catalogue_page_is_in_step() -> None:
    assert markdown() in (ROOT / "docs/reference/events.md").read_text("utf-8"), "update its table"
