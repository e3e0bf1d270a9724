"""Writes tandem/events.py from the released contracts. Run it after `tandem contracts release`.

Usage: python sdk/generate.py SCHEMAS_FOLDER [OUTPUT]
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

_HEADER = '''"""The event types, made from the released contracts by sdk/generate.py: do not edit."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Traits = dict[str, str | int | float | bool | None]


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """The data of one event type; TYPE, VERSION and DEPARTMENT (who may write it) belong to the type."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    DEPARTMENT: ClassVar[str]


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in minor units (cents) of an ISO 4217 currency; XXX where there is none."""

    amount: Annotated[int, Meta(ge=0, le=100_000_000_000_000)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]
'''

_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_META = {"minimum": "ge", "maximum": "le", "minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_DEFAULTS = {"{}": "{}", "[]": "()"}


def module(schemas: list[dict[str, Any]]) -> str:
    """The source of tandem/events.py for the current versions among the schemas."""
    current: dict[str, dict[str, Any]] = {}
    for schema in schemas:
        name = schema["properties"]["type"]["const"]
        if name not in current or _version(schema) > _version(current[name]):
            current[name] = schema
    classes = [_class(name, current[name]) for name in sorted(current)]
    names = [_class_name(name) for name in sorted(current)]
    table = "\n".join(f"    {name}.TYPE: {name}," for name in names)
    return (
        _HEADER
        + "".join(classes)
        + "\n\n#: Every known type in its current version.\n"
        + f"EVENT_TYPES: dict[str, type[EventData]] = {{\n{table}\n}}\n"
    )


def _version(schema: dict[str, Any]) -> int:
    return int(schema["properties"]["version"]["const"])


def _class_name(type_: str) -> str:
    return "".join(part.capitalize() for part in type_.split("_"))


def _class(name: str, schema: dict[str, Any]) -> str:
    data = schema["properties"]["data"]
    required = set(data.get("required", ()))
    lines = [
        f"\n\nclass {_class_name(name)}(EventData, frozen=True, kw_only=True):",
        f'    """{schema["description"]}"""\n',
        f'    TYPE: ClassVar[str] = "{name}"',
        f"    VERSION: ClassVar[int] = {_version(schema)}",
        f'    DEPARTMENT: ClassVar[str] = "{schema["x-owner"]}"',
    ]
    for field, found in data.get("properties", {}).items():
        default = "" if field in required else f" = {_DEFAULTS.get(str(found.get('default')), 'None')}"
        lines.append(f"    {field}: {_hint(found)}{default}")
    return "\n".join(lines) + "\n"


def _hint(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "anyOf" in schema:
        return " | ".join(_hint(choice) for choice in schema["anyOf"])
    if schema["type"] == "object":
        return "Traits"
    limits = [f"{_META[key]}={_literal(schema[key])}" for key in _META if key in schema]
    if schema["type"] == "array":
        return f"tuple[{_TYPES[schema['items']['type']]}, ...]"  # the platform checks what is in it
    plain = _TYPES[schema["type"]]
    return f"Annotated[{plain}, Meta({', '.join(limits)})]" if limits else plain


def _literal(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10_000:
        return re.sub(r"(?<=\d)(?=(\d{3})+$)", "_", str(value))
    return json.dumps(value)


if __name__ == "__main__":
    found = [json.loads(path.read_text("utf-8")) for path in sorted(Path(sys.argv[1]).glob("*.json"))]
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("tandem") / "events.py"
    target.write_text(module(found), "utf-8")
