"""Windows: what each department, and the auditor, sees of a journey. The playbook says so, not the code."""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from projections.identifiers import identifier_key
from projections.text import id_text

#: What a window may hide: fields of a journey as the API shows it. Those that say the same are hidden with it.
HIDEABLE: dict[str, tuple[str, ...]] = {
    "channel": ("channel", "touchpoints.channel"),
    "campaign": ("campaign", "touchpoints.campaign"),
    "owner": ("owner", "handoffs.owner", "handoffs.rival", "handoff.owner", "handoff.rival"),
    "account": ("account", "accounts"),
    "score": ("score",),
    "value": ("value", "accounts.value", "milestones.amount", "milestones.currency"),
    "traits": ("traits", "trait_sources"),
    "activity": ("activity",),
    "touchpoints": ("touchpoints",),
    "touchpoints.cost": ("touchpoints.cost",),
    "touchpoints.count": ("touchpoints.count",),
    "milestones": ("milestones",),
    "milestones.note": ("milestones.note", "handoffs.note", "handoff.note"),
}

#: Where an answer holds journeys, or sums over them.
_INSIDE = ("items", "journey", "before", "after", "total", "groups")

_SHORT = 5  #: shorter values are too likely to stand in a text by chance

Answer = dict[str, Any]
Name = tuple[str, str]  #: (type, value) of an identifier


class Window(NamedTuple):
    """What is hidden from somebody: paths of fields in the API's answers, such as `touchpoints.cost`."""

    name: str
    hidden: frozenset[str] = frozenset()
    #: (purpose, identifier type): identifiers that are hidden of people who withdrew their consent to the purpose
    withdrawn: frozenset[tuple[str, str]] = frozenset()

    def show(self, answer: Answer) -> Answer:
        """The answer without what is hidden, which `hidden` names; the same object where nothing is.

        A field is named wherever the answer would have it, whether or not the journey has a value for it.
        """
        if not self.hidden and not self.withdrawn:
            return answer
        left_out: set[str] = set()
        return _with_names(self._shown(answer, left_out), left_out)

    def veil(self, answer: Answer, names: Collection[Name], keep: Collection[str]) -> Answer:
        """What `show` shows, without some identifiers of people; `keep`: journey ids that stay though made of them."""
        shown = _veiled(answer, names, keep) if names else answer
        return _with_names(self.show(shown), {f"identifiers.{type_}" for type_, _ in names})

    def veiled_types(self, consent: Mapping[str, Any]) -> frozenset[str]:
        """Identifier types that are hidden of somebody with these consents."""
        return frozenset(type_ for purpose, type_ in self.withdrawn if consent.get(purpose) is False)

    def _shown(self, answer: Answer, left_out: set[str]) -> Answer:
        shown = self._without_identifiers(answer, left_out)
        for path, field, part in _places(self.hidden):
            if field not in answer:
                continue
            left_out.add(path)
            if part is None:
                shown = {name: value for name, value in shown.items() if name != field}
            elif field in shown:
                shown = {**shown, field: _without(shown[field], part)}
        for place in _INSIDE:
            found = shown.get(place)
            if isinstance(found, list):
                shown = {**shown, place: [self._shown(one, left_out) for one in found]}
            elif isinstance(found, dict):
                shown = {**shown, place: self._shown(found, left_out)}
        return shown

    def _without_identifiers(self, answer: Answer, left_out: set[str]) -> Answer:
        consent = answer.get("consent")
        types = self.veiled_types(consent) if consent else ()
        if not types:
            return answer
        left_out.update(f"identifiers.{type_}" for type_ in types)
        names = [(one["type"], one["value"]) for one in answer.get("identifiers", ()) if one["type"] in types]
        return _veiled(answer, names, [str(answer.get("journey_id"))]) if names else answer


#: Nothing is hidden: of the auditor, and of everybody where access is off.
EVERYTHING = Window("everything")


def shared(windows: Iterable[Window]) -> Window:
    """What all may see: hidden is what any of them hides. For topics, which cannot tell readers apart."""
    found = list(windows)
    hidden = frozenset[str]().union(*(window.hidden for window in found))
    return Window("shared", hidden, frozenset[tuple[str, str]]().union(*(window.withdrawn for window in found)))


def widest(windows: Iterable[Window]) -> Window:
    """What somebody sees who may look through each: hidden is only what all of them hide."""
    first, *others = windows
    if not others:
        return first
    return Window(
        "+".join(sorted(window.name for window in (first, *others))),
        first.hidden.intersection(*(window.hidden for window in others)),
        first.withdrawn.intersection(*(window.withdrawn for window in others)),
    )


@lru_cache(maxsize=64)
def _places(hidden: frozenset[str]) -> tuple[tuple[str, str, str | None], ...]:
    """(path, field, part of the field) of each path."""
    return tuple((path, *_split(path)) for path in sorted(hidden))


def _split(path: str) -> tuple[str, str | None]:
    field, dot, part = path.partition(".")
    return (field, part if dot else None)


def _without(value: Any, part: str) -> Any:
    """Lists of objects, or an object, without one of their fields."""
    if isinstance(value, list):
        return [_without(one, part) for one in value]
    return {name: one for name, one in value.items() if name != part} if isinstance(value, dict) else value


def _with_names(answer: Answer, left_out: set[str]) -> Answer:
    return {**answer, "hidden": sorted(left_out.union(answer.get("hidden", ())))} if left_out else answer


def _veiled(answer: Answer, names: Collection[Name], keep: Collection[str]) -> Answer:
    """The answer without identifiers: entries of lists are left out, texts say `email (hidden)` in their place."""
    dropped = set(names)
    by_type = {type_: [value for other, value in dropped if other == type_] for type_, _ in dropped}
    patterns = [(_pattern(type_, values, keep), f"{type_} (hidden)") for type_, values in sorted(by_type.items())]

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            for pattern, instead in patterns:
                node = pattern.sub(instead, node)
            return node
        if isinstance(node, list):
            return [walk(one) for one in node if not _is_one_of(one, dropped)]
        return {name: walk(one) for name, one in node.items()} if isinstance(node, dict) else node

    found: Answer = walk(answer)
    return found


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
    if not isinstance(entry, dict):
        return False
    type_, value = entry.get("type"), entry.get("value")
    return isinstance(type_, str) and isinstance(value, str) and (type_, value) in names
