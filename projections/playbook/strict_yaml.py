"""Strict YAML: invalid dates and duplicate keys are errors, with their place in the text."""

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from schemas.errors import TandemError

_M = TypeVar("_M", bound=BaseModel)

_MERGE = "tag:yaml.org,2002:merge"  #: `<<`, which is no key


class _Loader(yaml.SafeLoader):
    """Stricter than SafeLoader, which raises a bare ValueError for an invalid date and keeps the last of equal keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a few lines of them can expand to more than any memory holds."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "aliases are not allowed: write it out", mark)
        return super().compose_node(parent, index)

    def construct_yaml_timestamp(self, node: Any) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            raise ConstructorError(None, None, f"{node.value} is not a date: {error}", node.start_mark) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set[Any]()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ConstructorError(None, None, f"{key!r} is given more than once", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def parse_yaml(text: str) -> Any:
    """The document's value. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (it is a SafeLoader)


def load_model(path: Path, model: type[_M], what: str, invalid: type[TandemError]) -> _M:
    """Read a YAML file, called `what`, and check it against a model. Raises `invalid`, as `read_model` does."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise invalid(f"cannot read the {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise invalid(f"the {what} {path} is not YAML: {error}") from error
    return read_model(text, model, f"{what} {path}", invalid)


def read_model(text: str, model: type[_M], what: str, invalid: type[TandemError]) -> _M:
    """Check YAML text, called `what`, against a model. Raises `invalid` with the line, the column and the rule."""
    try:
        document = parse_yaml(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # not every error is a YAMLError: a number of thousands of digits raises ValueError, for one
        raise invalid(f"the {what} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return model.model_validate(document)
    except RecursionError as error:
        raise invalid(f"the {what} is nested too deeply") from error
    except ValidationError as error:
        # an unknown field best explains why another one is missing
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        rule = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        rule = rule.removeprefix("Value error, ")
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        line, column = _place_of(text, first["loc"], rule)
        raise invalid(f"the {what} is wrong at {where} (line {line}, column {column}): {rule}") from error


def _place_of(text: str, loc: tuple[int | str, ...], rule: str) -> tuple[int, int]:
    """(line, column), from 1, of a field, or of the nearest node around it that the text has.

    For an unknown key it is the key's own place. A rule about several fields quotes the wrong word: then it is the
    first place of that word.
    """
    node: Any = yaml.compose(text, Loader=_Loader)
    mark = None if node is None else node.start_mark
    quoted = re.search(r"'([^']+)'", rule)
    if not loc and quoted is not None and node is not None:
        word = next((one for one in _scalars(node) if one.value == quoted[1]), node)
        mark = word.start_mark
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        elif isinstance(node, yaml.MappingNode):
            # the name of a union's branch is not in the text
            for key, value in node.value:
                if key.value == str(part):
                    mark, node = key.start_mark, value
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _scalars(node: Any) -> Iterator[Any]:
    """All scalars of a document, in order."""
    if isinstance(node, yaml.ScalarNode):
        yield node
        return
    for child in node.value:
        for one in child if isinstance(child, tuple) else (child,):
            yield from _scalars(one)
