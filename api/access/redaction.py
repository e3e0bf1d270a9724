"""Identifiers that are hidden because somebody withdrew consent, in answers about several people."""

from collections.abc import Iterable
from typing import NamedTuple

from api.access.caller import Refused
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.traits import consent_of
from projections.playbook.windows import Name, Window
from projections.text import id_text


class Veil(NamedTuple):
    """What `Window.veil` takes."""

    names: frozenset[Name]
    keep: frozenset[str]


def veil_over(workspace: Workspace, window: Window) -> Veil:
    """The identifiers in a workspace that a window hides, by what each person consents to now."""
    if not window.withdrawn:
        return Veil(frozenset(), frozenset())
    names = [
        (known.type, known.value)
        for journey in workspace.journeys.values()
        if (types := window.veiled_types(consent_of(journey)))
        for known in journey.identifiers.values()
        if known.type in types
    ]
    return Veil(frozenset(names), frozenset(id_text(one) for one in workspace.journeys))


def merged(veils: Iterable[Veil]) -> Veil:
    """All of them."""
    given = list(veils)
    return Veil(
        frozenset[Name]().union(*(veil.names for veil in given)),
        frozenset[str]().union(*(veil.keep for veil in given)),
    )


def refuse_veiled(window: Window, journey: Journey | None, identifier: str, key: bytes) -> None:
    """Raises Refused (403) where a journey was asked for by an identifier of its own that is hidden.

    It may be written as the journey id that it gives; the id that the journey has is not hidden.
    """
    types = () if journey is None else window.veiled_types(consent_of(journey))
    if journey is None or not types:
        return
    type_ = identifier.partition(":")[0]
    if type_ == "journey" and key != journey.journey_id and key in journey.identifiers:
        type_ = journey.identifiers[key].type
    if type_ in types:
        raise Refused(403, "asks by an identifier that is hidden")
