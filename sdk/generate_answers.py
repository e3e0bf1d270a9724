"""Writes tandem/answers.py from the contracts of the API's answers. Run it after a change in schemas/answers.

Usage: python sdk/generate_answers.py [OUTPUT]
"""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.answers.export import answer_schemas, operation_schemas

_HEADER = '''# Made from schemas/answers by sdk/generate_answers.py: do not edit.
"""The API's answers. Times are RFC 3339 text in UTC, amounts minor units (cents) by ISO 4217 currency.

A field that the reader's rights hide, or that is not there, is UNSET, which is false; None is a value that is null.
Fields that a newer Tandem adds are left out.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tandem.identifiers import Identifier


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of an answer, or a part of one."""
'''

#: Operations that the client does not offer, or whose answers the SDK reads in its own way.
_LEFT_OUT = {"get_health", "get_readiness", "list_changes", "ask_what_if"}
#: Types of parts of the feed and of what-if, and of a refusal.
_MORE = ("ChangeDetail", "FeedJourney", "WhatIf")
_OWN = {"Identifier"}  #: written by hand: questions and events use it, too
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_WIDTH = 116

Schema = dict[str, Any]


def module() -> str:
    """The source of tandem/answers.py."""
    schemas = answer_schemas("{name}")
    wanted = set(_reachable(schemas, [*_roots(schemas), *_MORE])) - _OWN
    return _HEADER + "".join(_class(name, schemas[name]) for name in sorted(wanted))


def _roots(schemas: dict[str, Schema]) -> Iterator[str]:
    """The answer of each operation; of a page what it is a page of, for the client turns pages itself."""
    for operation, answer in operation_schemas("{name}").items():
        if operation in _LEFT_OUT:
            continue
        properties = schemas[answer["$ref"]]["properties"]
        yield properties["items"]["items"]["$ref"] if "next_cursor" in properties else answer["$ref"]


def _reachable(schemas: dict[str, Schema], names: list[str]) -> set[str]:
    reached: set[str] = set()
    while names:
        name = names.pop()
        if name not in reached:
            reached.add(name)
            names += _references(schemas[name])
    return reached


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _references(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for key, one in schema.items() if key != "discriminator" for name in _references(one)]


def _class(name: str, schema: Schema) -> str:
    properties, required = schema["properties"], schema.get("required", ())
    # an answer's identifiers can be asked about as they are
    base = "Identifier" if name.endswith("Identifier") and {"type", "value"} <= properties.keys() else "Answer"
    tag = "".join(
        f', tag_field="{field}", tag="{found["enum"][0]}"' for field, found in properties.items() if _is_tag(found)
    )
    lines = [f"\n\nclass {name}({base}, frozen=True, kw_only=True{tag}):", f'    """{schema["description"]}"""\n']
    for field, found in properties.items():
        if not _is_tag(found) and not (base == "Identifier" and field in ("type", "value")):
            lines += _field(field, found, field in required and not found.get("deprecated"))
    return "\n".join(lines) + "\n"


def _is_tag(schema: Schema) -> bool:
    return len(schema.get("enum", ())) == 1


def _field(name: str, schema: Schema, required: bool) -> list[str]:
    told = (
        [schema["description"]]
        if "description" in schema and (schema.get("deprecated") or "format" not in schema)
        else []
    )
    told += [f"One of {', '.join(values)}"] if (values := _values(schema)) else []
    comment = [f"    #: {line}" for line in textwrap.wrap(". ".join(told), _WIDTH - 8)]
    hint = _hint(schema) if required else _hint(schema, "UnsetType")
    if name == "from":
        return [*comment, f'    from_: {hint} = msgspec.field(name="from")']
    return [*comment, f"    {name}: {hint}{'' if required else ' = UNSET'}"]


def _values(schema: Schema) -> list[str]:
    """What a text may be today: a newer Tandem may know more, so the type is not narrower than text."""
    found = [value for one in (schema, *schema.get("anyOf", ())) for value in one.get("enum", ())]
    return [str(value) for value in found if value is not None]


def _hint(schema: Schema, *more: str) -> str:
    """The annotation of a schema, or of what is in `more`; None comes last."""
    found = [_plain(choice) for choice in schema.get("anyOf", [schema])]
    if None in schema.get("enum", ()):
        found.append("None")
    return " | ".join(sorted([*found, *more], key=lambda choice: choice == "None"))


def _plain(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if "enum" in schema:
        return "str"
    match schema.get("type"):
        case None:
            return "Any"
        case "array":
            return f"tuple[{_hint(schema.get('items', {}))}, ...]"
        case "object":
            value = schema.get("additionalProperties")
            return f"dict[str, {_hint(value if isinstance(value, dict) else {})}]"
        case plain:
            return _TYPES[plain]


def formatted(source: str) -> str:
    """The source as ruff formats it."""
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--stdin-filename=answers.py", "-"]
    return subprocess.run(ruff, input=source, text=True, encoding="utf-8", check=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("tandem") / "answers.py"
    target.write_text(formatted(module()), "utf-8")
