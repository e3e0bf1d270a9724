"""Contracts as documents: JSON Schema (2020-12) for each event type and version, AsyncAPI 3.0 for the topics."""

from typing import Any

from schemas.catalogue import EVENT_TYPES, EventType
from schemas.envelope import Envelope

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(event_type: EventType) -> dict[str, Any]:
    """The JSON Schema of a whole event of one type and version, envelope included."""
    schema = Envelope.model_json_schema()
    data = event_type.data.model_json_schema()
    definitions = schema.pop("$defs", {}) | data.pop("$defs", {})
    properties = schema["properties"]
    properties["type"] = {"const": event_type.name}
    properties["version"] = {"const": event_type.version, "default": 1}
    properties["data"] = data
    required = [*schema["required"], *(["version"] if event_type.version > 1 else [])]
    if data.get("required"):
        required.append("data")
    if event_type.personal:
        required.append("identities")
        properties["identities"] |= {"minItems": 1}
        properties["identities"].pop("default", None)
    properties["occurred_at"]["format"] = "date-time"
    properties["id"]["format"] = "uuid"
    return {
        "$schema": DIALECT,
        "$id": f"tandem:{event_type.name}:v{event_type.version}",
        "title": f"{event_type.name} v{event_type.version}",
        "description": (event_type.data.__doc__ or "").strip(),
        "x-owner": event_type.department,
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": definitions,
    }


def schema_name(event_type: EventType) -> str:
    """The file name of a type's schema."""
    return f"{event_type.name}.v{event_type.version}.json"


def asyncapi(prefix: str = "tandem") -> dict[str, Any]:
    """The AsyncAPI document of the event topics."""
    departments = sorted({one.department for one in EVENT_TYPES})
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for department in departments:
        names = {f"{one.name}.v{one.version}" for one in EVENT_TYPES if one.department == department}
        channels[department] = {
            "address": f"{prefix}.{department}.events",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(names)},
        }
        operations[f"publish_{department}"] = {"action": "send", "channel": {"$ref": f"#/channels/{department}"}}
    messages = {
        f"{one.name}.v{one.version}": {
            "name": one.name,
            "title": f"{one.name} v{one.version}",
            "summary": (one.data.__doc__ or "").strip(),
            "contentType": "application/json",
            "payload": {
                "schemaFormat": f"application/schema+json;version={DIALECT}",
                "schema": event_schema(one),
            },
        }
        for one in EVENT_TYPES
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
    """The catalogue as a Markdown table."""
    lines = ["| type | version | department | data | meaning |", "| --- | --- | --- | --- | --- |"]
    for one in sorted(EVENT_TYPES, key=lambda one: (one.department, one.name, one.version)):
        fields = ", ".join(
            f"**{name}**" if field.is_required() else name for name, field in one.data.model_fields.items()
        )
        meaning = " ".join((one.data.__doc__ or "").split())
        lines.append(f"| `{one.name}` | {one.version} | {one.department} | {fields or '-'} | {meaning} |")
    return "\n".join(lines) + "\n"
