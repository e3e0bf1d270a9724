"""Identifiers as people write them in a request: `type:value`, or `journey:` with an id."""

import uuid

from starlette.exceptions import HTTPException

from projections.identifiers import PERSON_TYPES, key_at, normalise
from projections.identity.workspace import Workspace
from projections.playbook.rules import Rules


def key_of(identifier: str, rules: Rules) -> bytes:
    """The key of an identifier. Raises HTTPException 422 with what is wrong."""
    type_, colon, value = identifier.partition(":")
    if not colon or (type_ != "journey" and type_ not in PERSON_TYPES):
        raise HTTPException(422, f"write type:value, with one of the types journey, {', '.join(PERSON_TYPES)}")
    if type_ == "journey":
        try:
            return uuid.UUID(value).bytes
        except ValueError as error:
            raise HTTPException(422, f"{value[:64]} is not a journey id: write a UUID") from error
    regions = set(rules.phone_regions.values()) if type_ == "phone" else set()
    for region in (None, *sorted(regions)):
        normal = normalise(type_, value[:512], region)
        if normal is not None:
            return normal.key
    raise HTTPException(422, f"{type_}:{value[:64]} names nobody: the value is blocked or unreadable")


def newest_key_in_use(workspace: Workspace, key: bytes) -> bytes:
    """The key that an identifier has since its last release, if anybody has used it since."""
    times = workspace.register.releases.get(key, [])
    later = [key_at(key, at, workspace.register.releases) for at in reversed(times)]
    return next((one for one in later if one in workspace.home), key)
