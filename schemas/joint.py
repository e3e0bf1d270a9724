"""Event types that both departments write."""

from typing import Annotated

from pydantic import Field

from schemas.fields import Contract, Name, Text


class PlaybookProposed(Contract):
    """One department proposes a playbook."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    playbook: Annotated[str, Field(max_length=262_144)]
    by: Name


class PlaybookApproved(Contract):
    """One department approves a proposed playbook."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    by: Name


class IdentityJoined(Contract):
    """A ruling: the event's identities are one person."""

    reason: Text | None = None
    by: Name | None = None


class IdentitySplit(Contract):
    """A ruling: the event's identities are not one person."""

    reason: Text | None = None
    by: Name | None = None


class IdentifierReleased(Contract):
    """A ruling: from this event's time on, the identifiers it names are new ones and belong to nobody yet.

    For a user id or a phone number that was given to somebody else, and to let go of one in quarantine.
    """

    reason: Text | None = None
    by: Name | None = None


class SubjectErased(Contract):
    """A person's data is to be erased."""

    reason: Text | None = None
    by: Name | None = None


class Handoff(Contract):
    """A hand-off between the departments; the four types say what became of it."""

    handoff: Name
    reason: Text | None = None
    by: Name | None = None
