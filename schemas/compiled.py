"""Contracts compiled for the hot path: msgspec Structs that accept and refuse what the pydantic models do.

tests/schemas/test_compiled.py proves that the two agree.
"""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import annotated_types
import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def struct_of(model: type[BaseModel], **instead: Any) -> type[msgspec.Struct]:
    """The Struct of a model. Fields in `instead` get that type and are required.

    Only raw data may be missing: it is an empty object then.
    """
    hints = get_type_hints(model, include_extras=True)
    required: list[Any] = []
    optional: list[Any] = []
    for name, field in model.model_fields.items():
        type_ = instead.get(name) or _convert(hints[name])
        if field.is_required() or (name in instead and type_ is not msgspec.Raw):
            required.append((name, type_))
        else:
            optional.append((name, type_, _default(field, type_)))
    return msgspec.defstruct(model.__name__, [*required, *optional], frozen=True, gc=False)


def _default(field: FieldInfo, type_: Any) -> Any:
    if type_ is msgspec.Raw:
        return msgspec.Raw(b"{}")
    return () if field.default == [] else field.default


def _convert(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _constrained(args[0], args[1:])
    if origin in (Union, UnionType):
        return Union[tuple(_convert(arg) for arg in args)]  # noqa: UP007 (built at run time)
    if origin is dict:
        return dict[_convert(args[0]), _convert(args[1])]  # type: ignore[misc]
    if origin is list:
        return tuple[_convert(args[0]), ...]  # type: ignore[misc]
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return struct_of(hint)
    return hint


def _constrained(hint: Any, metadata: tuple[Any, ...]) -> Any:
    limits: dict[str, Any] = {}
    for field in metadata:
        for rule in field.metadata if isinstance(field, FieldInfo) else ():
            limits |= _limits(rule)
    converted = _convert(hint)
    return Annotated[converted, msgspec.Meta(**limits)] if limits else converted


def _limits(rule: Any) -> dict[str, Any]:
    match rule:
        case annotated_types.Ge():
            return {"ge": rule.ge}
        case annotated_types.Le():
            return {"le": rule.le}
        case annotated_types.MinLen():
            return {"min_length": rule.min_length}
        case annotated_types.MaxLen():
            return {"max_length": rule.max_length}
    pattern = getattr(rule, "pattern", None)
    if pattern is None:
        raise TypeError(f"no msgspec rule for {rule!r}: add one to schemas/compiled.py")
    # Python's $ also matches before a final line break; that of the model does not
    return {"pattern": pattern.removesuffix("$") + r"\Z"}
