"""Answers as JSON Schema (2020-12): for OpenAPI, and for the SDK's generator."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.answers.changes import Change, Reset
from schemas.answers.identity import UnconfirmedRuling
from schemas.answers.operations import ANSWERS
from schemas.answers.parts import Answer
from schemas.answers.problems import Problem

#: What is told beside the success answers: messages of the change feed, and errors.
_OTHERS: tuple[type[Answer], ...] = (Change, Reset, UnconfirmedRuling, Problem)
_REF = "#/components/schemas/{name}"


def answer_schemas(ref: str = _REF) -> dict[str, dict[str, Any]]:
    """The schema of each type, by its name, in the order of names; `ref` is how one refers to another."""
    roots = [type_ for types in ANSWERS.values() for type_ in types]
    _, components = msgspec.json.schema_components([*roots, *_OTHERS], ref_template=ref)
    return dict(sorted(components.items()))


def operation_schemas(ref: str = _REF) -> dict[str, dict[str, Any]]:
    """The schema of each operation's success answer, by operation id."""
    return {operation: schema_of(types, ref) for operation, types in sorted(ANSWERS.items())}


def schema_of(types: Sequence[type[Answer]], ref: str = _REF) -> dict[str, Any]:
    """A reference to the schema of a type; to one of several."""
    refs, _ = msgspec.json.schema_components(types, ref_template=ref)
    return refs[0] if len(refs) == 1 else {"anyOf": list(refs)}
