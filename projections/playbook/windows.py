"""Windows: what each department, and the auditor, sees of a journey. The playbook says so, not the code.

What can be hidden are fields of the API's answers, named by their types. A field is hidden wherever an answer holds an
object of that type, however deep.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from operator import is_ as _is
from typing import Any, NamedTuple, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from projections.identifiers import identifier_key
from projections.playbook.masks import HIDEABLE as HIDEABLE  # noqa: PLC0414 (whoever asks for windows asks for both)
from projections.playbook.masks import mask_of
from projections.text import id_text
from schemas.answers.contacts import Identifier
from schemas.answers.parts import Answer, WindowedAnswer

_SHORT = 5  #: shorter values are too likely to stand in a text by chance

Name = tuple[str, str]  #: (type, value) of an identifier
Shown = TypeVar("Shown", bound=WindowedAnswer)
Part = TypeVar("Part", bound=Answer)


class Window(NamedTuple):
    """What is hidden from somebody: fields of the API's answers, by the names that `hidden` gives them there."""

    name: str
    hidden: frozenset[str] = frozenset()
    #: (purpose, identifier type): identifiers that are hidden of people who withdrew their consent to the purpose
    withdrawn: frozenset[tuple[str, str]] = frozenset()

    def show(self, answer: Shown) -> Shown:
        """The answer without what is hidden, which `hidden` names; the same object where nothing is.

        A field is named wherever the answer would have it, whether or not the journey has a value for it.
        """
        if not self.hidden and not self.withdrawn:
            return answer
        left_out: set[str] = set()
        return _with_names(self._shown(answer, "", left_out), left_out)

    def veil(self, answer: Shown, names: Collection[Name], keep: Collection[str]) -> Shown:
        """What `show` shows, without some identifiers of people; `keep`: journey ids that stay though made of them."""
        shown = _veiled(answer, names, keep) if names else answer
        return _with_names(self.show(shown), {f"identifiers.{type_}" for type_, _ in names})

    def veiled_types(self, consent: Mapping[str, Any]) -> frozenset[str]:
        """Identifier types that are hidden of somebody with these consents."""
        return frozenset(type_ for purpose, type_ in self.withdrawn if consent.get(purpose) is False)

    def _shown(self, one: Part, held_in: str, left_out: set[str]) -> Part:
        mask = mask_of(type(one), held_in, self.hidden)
        if mask.is_person and self.withdrawn:
            one = self._without_identifiers(one, left_out)
        for field, names in mask.named:
            if getattr(one, field) is not UNSET:
                left_out |= names
        if not mask.inside:
            return replace(one, **mask.dropped) if mask.dropped else one
        changes: dict[str, Any] = dict(mask.dropped)
        for field in mask.inside:
            value = getattr(one, field)
            shown = self._inside(value, field, left_out)
            if shown is not value:
                changes[field] = shown
        return replace(one, **changes) if changes else one

    def _inside(self, value: Any, held_in: str, left_out: set[str]) -> Any:
        """A field's value without what is hidden in it; the same object where nothing is."""
        if isinstance(value, Answer):
            return self._shown(value, held_in, left_out)
        if isinstance(value, list):
            shown = [self._inside(one, held_in, left_out) for one in value]
            return value if all(map(_is, shown, value)) else shown
        if isinstance(value, dict):
            return {name: self._inside(one, held_in, left_out) for name, one in value.items()}
        return value

    def _without_identifiers(self, person: Part, left_out: set[str]) -> Part:
        answer: Any = person
        types = self.veiled_types(answer.consent)
        if not types:
            return person
        left_out.update(f"identifiers.{type_}" for type_ in types)
        names = [(one.type, one.value) for one in answer.identifiers if one.type in types]
        return _veiled(person, names, [answer.journey_id]) if names else person


#: Nothing is hidden: of the auditor, and of everybody where access is off.
EVERYTHING = Window("everything")


def shared(windows: Iterable[Window]) -> Window:
    """What all may see: hidden is what any of them hides. For topics, which cannot tell readers apart."""
    all_windows = list(windows)
    hidden = frozenset[str]().union(*(window.hidden for window in all_windows))
    return Window("shared", hidden, frozenset[tuple[str, str]]().union(*(window.withdrawn for window in all_windows)))


def widest(windows: Iterable[Window]) -> Window:
    """What somebody sees who may look through each: hidden is only what all of them hide."""
    first, *others = windows
    if not others:
        return first
    return Window(
        "+".join(sorted(window.name for window in (first, *others))),
        _with_parts(first.hidden).intersection(*(_with_parts(window.hidden) for window in others)),
        first.withdrawn.intersection(*(window.withdrawn for window in others)),
    )


def _with_parts(hidden: frozenset[str]) -> frozenset[str]:
    """Names with those of the parts inside: who hides all touchpoints hides their cost, too."""
    return hidden | {part for names in HIDEABLE.values() for part in names if part.partition(".")[0] in hidden}


def _with_names(answer: Shown, left_out: set[str]) -> Shown:
    if not left_out:
        return answer
    before = [] if answer.hidden is UNSET else answer.hidden
    return replace(answer, hidden=sorted(left_out.union(before)))


def _veiled(answer: Part, names: Collection[Name], keep: Collection[str]) -> Part:
    """The answer without identifiers: entries of lists are left out, texts say `email (hidden)` in their place."""
    dropped = set(names)
    by_type = {type_: [value for other, value in dropped if other == type_] for type_, _ in dropped}
    patterns = [(_pattern(type_, values, keep), f"{type_} (hidden)") for type_, values in sorted(by_type.items())]

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            for pattern, instead in patterns:
                node = pattern.sub(instead, node)
            return node
        if isinstance(node, Answer):
            return replace(node, **{name: walk(getattr(node, name)) for name in node.__struct_fields__})
        if isinstance(node, list):
            return [walk(one) for one in node if not _is_one_of(one, dropped)]
        return {name: walk(one) for name, one in node.items()} if isinstance(node, dict) else node

    veiled: Part = walk(answer)
    return veiled


def _pattern(type_: str, values: Iterable[str], keep: Collection[str]) -> re.Pattern[str]:
    """Finds identifiers in a text, as `type:value` or as the value alone, and the journey ids that they give."""
    ways = []
    for value in values:
        text = re.escape(value)
        ways.append(rf"(?:{type_}:)?{text}" if len(value) >= _SHORT else rf"{type_}:{text}|^{text}$")
        key = id_text(identifier_key(type_, value))
        if key not in keep:
            ways.append(key)
    # not within another word: ana@x.org is neither in mariana@x.org nor in ana@x.org.br
    return re.compile(rf"(?<![\w.+%-])(?:{'|'.join(ways)})(?!\.?[\w-])", re.IGNORECASE)


def _is_one_of(entry: Any, names: set[Name]) -> bool:
    return isinstance(entry, Identifier) and (entry.type, entry.value) in names
