"""Contracts as data: JSON Schema (2020-12) for each event type and version, AsyncAPI 3.0 for the topics."""

from typing import Any

from schemas.catalogue import EVENT_TYPES, EventType
from schemas.envelope import Envelope

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(found: EventType) -> dict[str, Any]:
    """The JSON Schema of a whole event of one type and version, envelope included."""
    schema = Envelope.model_json_schema()
    data = found.data.model_json_schema()
    definitions = schema.pop("$defs", {}) | data.pop("$defs", {})
    properties = schema["properties"]
    properties["type"] = {"const": found.name}
    properties["version"] = {"const": found.version, "default": 1}
    properties["data"] = data
    required = [*schema["required"], *(["version"] if found.version > 1 else [])]
    if data.get("required"):
        required.append("data")
    if found.personal:
        required.append("identities")
        properties["identities"] |= {"minItems": 1}
        properties["identities"].pop("default", None)
    properties["occurred_at"]["format"] = "date-time"
    properties["id"]["format"] = "uuid"
    return {
        "$schema": DIALECT,
        "$id": f"tandem:{found.name}:v{found.version}",
        "title": f"{found.name} v{found.version}",
        "description": (found.data.__doc__ or "").strip(),
        "x-owner": found.owner,
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": definitions,
    }


def schema_name(found: EventType) -> str:
    """The file name of a type's schema."""
    return f"{found.name}.v{found.version}.json"


def asyncapi(prefix: str = "tandem") -> dict[str, Any]:
    """The AsyncAPI document of the event topics."""
    owners = sorted({found.owner for found in EVENT_TYPES})
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for owner in owners:
        names = {f"{found.name}.v{found.version}" for found in EVENT_TYPES if found.owner == owner}
        channels[owner] = {
            "address": f"{prefix}.{owner}.events",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(names)},
        }
        operations[f"publish_{owner}"] = {"action": "send", "channel": {"$ref": f"#/channels/{owner}"}}
    messages = {
        f"{found.name}.v{found.version}": {
            "name": found.name,
            "title": f"{found.name} v{found.version}",
            "summary": (found.data.__doc__ or "").strip(),
            "contentType": "application/json",
            "payload": {"schemaFormat": f"application/schema+json;version={DIALECT}", "schema": event_schema(found)},
        }
        for found in EVENT_TYPES
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tandem events", "version": "1.0.0"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def markdown() -> str:
    """The catalogue as a table for readers."""
    lines = ["| type | version | department | data | meaning |", "| --- | --- | --- | --- | --- |"]
    for found in sorted(EVENT_TYPES, key=lambda found: (found.owner, found.name, found.version)):
        fields = ", ".join(
            f"**{name}**" if field.is_required() else name for name, field in found.data.model_fields.items()
        )
        meaning = " ".join((found.data.__doc__ or "").split())
        lines.append(f"| `{found.name}` | {found.version} | {found.owner} | {fields or '-'} | {meaning} |")
    return "\n".join(lines) + "\n"
