"""Identity as people and programs read it: a person's identifiers, links and rulings; what a ruling would move."""

from projections.identity.preview import Preview, Side
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.links import Link
from projections.text import id_text, time_text
from projections.views.authorities import AUTHORITIES
from schemas.answers import identity as answers
from schemas.answers.parts import EventRef

_REASONS = {
    "contested": "several people use the device, and they cannot be one",
    "claim": "only a form says so, and the person was known before: a login or a click in a mail would do",
    "split": "a ruling parts them",
    "breaker": "one of them is in quarantine: too many others are linked to it",
}


def reason_text(reason: str | None) -> str:
    """Why a link was refused, in words."""
    if reason is None:
        return "it holds"
    return _REASONS.get(reason, f"the person would have more identifiers of the type {reason} than the playbook allows")


def identity_view(journey: Journey, workspace: Workspace) -> answers.Person:
    """A person's identity."""
    names = {key: f"{known.type}:{known.value}" for key, known in journey.identifiers.items()}
    register = workspace.register
    return answers.Person(
        journey_id=id_text(journey.journey_id),
        also_found_by=sorted(id_text(key) for key in names if key != journey.journey_id),
        events=journey.events,
        identifiers=[
            answers.PersonIdentifier(
                type=known.type,
                value=known.value,
                first_seen=time_text(known.at),
                last_seen=time_text(known.last),
                quarantined=known.key in register.quarantined and known.key not in register.releases,
            )
            for known in sorted(journey.identifiers.values(), key=lambda known: (known.type, known.value, known.at))
        ],
        links=[_link(link, workspace) for link in sorted(journey.links.values())],
        joined_by_ruling=_ruled(register.partners, names, workspace),
        split_by_ruling=_ruled(register.separated, names, workspace),
    )


def _ruled(pairs: dict[bytes, set[bytes]], names: dict[bytes, str], workspace: Workspace) -> list[list[str]]:
    found = {
        tuple(sorted((name, _name(other, workspace)))) for key, name in names.items() for other in pairs.get(key, ())
    }
    return [list(pair) for pair in sorted(found)]


def _name(key: bytes, workspace: Workspace) -> str:
    return workspace.text_of(key) or f"journey:{id_text(key)}"


def _link(link: Link, workspace: Workspace) -> answers.LinkedPair:
    return answers.LinkedPair(
        identifiers=[_name(link.a, workspace), _name(link.b, workspace)],
        authority=AUTHORITIES[link.authority],
        at=time_text(link.at),
        event=EventRef(id=id_text(link.id), source=link.source),
        holds=link.refused is None,
        reason=link.refused,
    )


def preview_view(preview: Preview) -> answers.RulingPreview:
    """What a ruling would move."""
    return answers.RulingPreview(
        before=[_side(side) for side in preview.before],
        after=[_side(side) for side in preview.after],
        events_moved=preview.events_moved,
        needs_confirmation=preview.confirm,
        warnings=preview.warnings,
    )


def _side(side: Side) -> answers.PreviewedJourney:
    return answers.PreviewedJourney(
        journey_id=id_text(side.journey_id),
        identifiers=side.identifiers,
        events=side.events,
        stage=side.stage,
        value=side.value,
    )
