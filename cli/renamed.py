"""Spellings of commands and options that were renamed: accepted for one release, with a warning."""

from collections.abc import Sequence

#: Verb and sub-command -> what it is called now.
_VERBS = {("identity", "explain"): ("explain", "identity")}
#: Verb -> old option -> what it is called now.
_OPTIONS = {
    "playbook": {"--as": "--department"},
    "handoffs": {"--as": "--department"},
    "contracts": {"--out": "--output"},
    "identity": {"--victims-of": "--affected-by"},
}


def renamed(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments in today's spelling, and a warning for each that was not. What follows `--` is left as it is."""
    verb, rest = tuple(arguments[:2]), list(arguments)
    warnings = []
    if verb in _VERBS:
        rest[:2] = _VERBS[verb[0], verb[1]]
        warnings.append(_warning(" ".join(verb), " ".join(_VERBS[verb[0], verb[1]])))
    options = _OPTIONS.get(verb[0], {}) if verb else {}
    end = rest.index("--") if "--" in rest else len(rest)
    for place, argument in enumerate(rest[:end]):
        name, equals, value = argument.partition("=")
        if name in options:
            rest[place] = options[name] + equals + value
            warnings.append(_warning(name, options[name]))
    return rest, warnings


def _warning(old: str, new: str) -> str:
    return f"{old} is deprecated and goes with the next release: write {new}"
