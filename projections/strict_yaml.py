"""YAML that passes nothing over: a date that does not exist and a key that stands twice are told with their place."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError

from schemas.errors import TandemError

_M = TypeVar("_M", bound=BaseModel)

_MERGE = "tag:yaml.org,2002:merge"  #: `<<`, which is no key


class _Loader(yaml.SafeLoader):
    """SafeLoader, but that one lets a bare ValueError out, and of two equal keys keeps the last."""

    def construct_yaml_timestamp(self, node: Any) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            raise ConstructorError(None, None, f"{node.value} is no date: {error}", node.start_mark) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set[Any]()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def parse_yaml(text: str) -> Any:
    """The document's value. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (it is a SafeLoader)


def load_model(path: Path, model: type[_M], what: str, invalid: type[TandemError]) -> _M:
    """Read a YAML file, called `what`, and check it against a model. Raises `invalid` with the field and the rule."""
    try:
        return model.model_validate(parse_yaml(path.read_text("utf-8")))
    except OSError as error:
        raise invalid(f"cannot read the {what} {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise invalid(f"the {what} {path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise invalid(f"the {what} {path} is wrong at {where}: {first['msg']}") from error
