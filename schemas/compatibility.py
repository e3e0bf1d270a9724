"""Compatibility: whether events of the released contracts are still accepted and read as before."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from schemas.catalogue import EVENT_TYPES
from schemas.export import event_schema, schema_name

RELEASED = Path(__file__).with_name("released")

#: Keywords that a change may only loosen, by the direction that loosens.
_LOWER = ("minimum", "minLength", "minItems")
_UPPER = ("maximum", "maxLength", "maxItems")


class Incompatibility(NamedTuple):
    """One way in which the present contracts break a released one."""

    schema: str  #: such as form_submitted.v1.json
    field: str  #: dotted path
    rule: str
    message: str


def released_schemas(folder: Path = RELEASED) -> dict[str, dict[str, Any]]:
    """The released schemas by file name."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}


def present_schemas() -> dict[str, dict[str, Any]]:
    """The schemas of the code, by file name."""
    return {schema_name(event_type): event_schema(event_type) for event_type in EVENT_TYPES}


def incompatibilities(released: dict[str, dict[str, Any]], present: dict[str, dict[str, Any]]) -> list[Incompatibility]:
    """Every change that would break a reader or writer of the released contracts."""
    breaks: list[Incompatibility] = []
    for name, old in released.items():
        new = present.get(name)
        if new is None:
            breaks.append(Incompatibility(name, "", "type removed", "events of this type and version are in logs"))
            continue
        if old["x-owner"] != new["x-owner"]:
            breaks.append(Incompatibility(name, "", "owner changed", f"from {old['x-owner']} to {new['x-owner']}"))
        breaks += _compare(name, "", _resolved(old, old), _resolved(new, new))
    return breaks


def _resolved(schema: Any, root: dict[str, Any]) -> Any:
    """The schema with its references expanded."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _resolved(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
        return {key: _resolved(value, root) for key, value in schema.items() if key != "$defs"}
    return [_resolved(value, root) for value in schema] if isinstance(schema, list) else schema


def _compare(name: str, path: str, old: dict[str, Any], new: dict[str, Any]) -> list[Incompatibility]:
    breaks = [Incompatibility(name, path, rule, message) for rule, message in _narrowed(old, new)]
    if "anyOf" in old or "anyOf" in new:
        choices = {choice.get("type", "any"): choice for choice in new.get("anyOf", [new])}
        for choice in old.get("anyOf", [old]):
            if choice.get("type", "any") in choices:
                breaks += _compare(name, path, choice, choices[choice.get("type", "any")])
        return breaks
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for field in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        breaks.append(Incompatibility(name, _join(path, field), "newly required", "older events do not carry it"))
    for field, schema in old_fields.items():
        if field not in new_fields:
            breaks.append(Incompatibility(name, _join(path, field), "field removed", "readers rely on it"))
        else:
            breaks += _compare(name, _join(path, field), schema, new_fields[field])
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        breaks += _compare(name, _join(path, "[]"), old["items"], new["items"])
    return breaks


def _narrowed(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    """(rule, message) for each keyword that accepts less than before."""
    narrowed = []
    lost = _kinds(old) - _kinds(new)
    if lost:
        narrowed.append(("type narrowed", f"{', '.join(sorted(lost))} was accepted"))
    lost_values = set(map(str, old.get("enum", ()))) - set(map(str, new.get("enum", old.get("enum", ()))))
    if lost_values or ("enum" in new and "enum" not in old):
        narrowed.append(("enum narrowed", f"{', '.join(sorted(lost_values)) or 'any value'} was accepted"))
    if old.get("const") != new.get("const"):
        narrowed.append(("constant changed", f"from {old.get('const')!r} to {new.get('const')!r}"))
    if new.get("pattern") not in (None, old.get("pattern")):
        narrowed.append(("pattern changed", f"from {old.get('pattern')} to {new.get('pattern')}"))
    for keyword in _LOWER:
        if keyword in new and new[keyword] > old.get(keyword, float("-inf")):
            narrowed.append((f"{keyword} raised", f"from {old.get(keyword, 'none')} to {new[keyword]}"))
    for keyword in _UPPER:
        if keyword in new and new[keyword] < old.get(keyword, float("inf")):
            narrowed.append((f"{keyword} lowered", f"from {old.get(keyword, 'none')} to {new[keyword]}"))
    return narrowed


def _kinds(schema: dict[str, Any]) -> set[str]:
    """The JSON types that a schema accepts."""
    if "anyOf" in schema:
        return {kind for choice in schema["anyOf"] for kind in _kinds(choice)}
    kind = schema.get("type", "any")
    return set(kind) if isinstance(kind, list) else {kind}


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
