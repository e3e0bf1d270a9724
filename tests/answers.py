"""Answers of every type, as hypothesis makes them up from the contracts."""

from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from schemas.answers.operations import ANSWERS
from schemas.answers.parts import Answer

#: Which values a field has; None: such as its type says.
Fill = Callable[[type[Answer], str], "st.SearchStrategy[str] | None"]

ROOTS = sorted({type_ for types in ANSWERS.values() for type_ in types}, key=lambda type_: type_.__name__)
_WORD = st.text("xyz", max_size=3)
_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: _WORD,
    int: st.integers(0, 9),
    float: st.just(0.5),
    bool: st.booleans(),
    Any: _WORD,
    NoneType: st.none(),
    UnsetType: st.just(UNSET),
}


def answers(type_: type[Answer], fill: Fill = lambda *_: None) -> st.SearchStrategy[Answer]:
    """Answers of one type, with nothing hidden. `fill`: texts that all leaves of a field are, in place of others."""
    hints = get_type_hints(type_, include_extras=True)
    fields = {name: _values(hints[name], fill, fill(type_, name)) for name in type_.__struct_fields__}
    if "hidden" in fields:
        fields["hidden"] = st.just(UNSET)
    return st.builds(type_, **fields)


def _values(hint: Any, fill: Fill, text: "st.SearchStrategy[str] | None") -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _values(arguments[0], fill, text)
    if origin in (Union, UnionType):
        return _one_of(arguments, fill, text)
    if origin in (list, dict):
        make = st.lists if origin is list else lambda found, **sizes: st.dictionaries(_WORD, found, **sizes)
        return make(_values(arguments[-1], fill, text), min_size=int(text is not None), max_size=2)
    if isinstance(hint, type) and issubclass(hint, Answer):
        return answers(hint, fill if text is None else lambda *_: text)
    return text if text is not None else st.sampled_from(arguments) if origin is Literal else _LEAVES[hint]


def _one_of(hints: tuple[Any, ...], fill: Fill, text: "st.SearchStrategy[str] | None") -> st.SearchStrategy[Any]:
    """One of several types; a field that can be hidden is there, one that may be absent for other reasons may be."""
    is_hideable = any("x-hideable" in str(getattr(one, "__metadata__", "")) for one in hints)
    left_out = {NoneType} if text is not None else set()
    left_out |= {UnsetType} if is_hideable else set()
    return st.one_of(*(_values(one, fill, text) for one in hints if one not in left_out))
