"""Event types that both departments write."""

from typing import Annotated

from pydantic import Field

from schemas.fields import Contract, Name, Text

#: The department in whose name somebody decides. A decision without it does not count.
DepartmentName = Annotated[str, Field(pattern=r"^(marketing|sales)$", max_length=9)]
#: SHA-256 of a playbook's text in UTF-8, as hex.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: The id of the event that proposed.
ProposalId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class PlaybookProposed(Contract):
    """One department proposes a playbook. The event's id is the proposal's.

    It comes into force at `effective_at` (RFC 3339), or once both departments have approved it, whichever is later.
    """

    digest: Digest
    playbook: Annotated[str, Field(max_length=262_144)]
    by: Name
    department: DepartmentName | None = None
    effective_at: Annotated[str, Field(max_length=40)] | None = None
    comment: Text | None = None


class PlaybookApproved(Contract):
    """One department approves a proposed playbook: the text that has this digest."""

    digest: Digest
    by: Name
    department: DepartmentName | None = None
    proposal: ProposalId | None = None


class PlaybookRejected(Contract):
    """One department rejects a proposed playbook, and says why."""

    proposal: ProposalId
    department: DepartmentName
    by: Name
    reason: Text


class PlaybookCommented(Contract):
    """Somebody comments on a proposed playbook."""

    proposal: ProposalId
    department: DepartmentName
    by: Name
    comment: Text


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


class SubjectErasedV1(Contract):
    """A person's data is to be erased."""

    reason: Text | None = None
    by: Name | None = None


#: Keyed hash of an identifier, as hex.
Hidden = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: The same; with "@" and microseconds since 1970 UTC where the identifier became the person's by a release then.
HiddenSince = Annotated[str, Field(pattern=r"^[0-9a-f]{64}(@-?[0-9]{1,18})?$", max_length=84)]
#: Id of an event as 32 hex digits, a space, its source.
EventName = Annotated[str, Field(pattern=r"^[0-9a-f]{32} .{1,256}$", max_length=300)]


class SubjectErased(Contract):
    """A person is erased: all events up to this one's time that name one of the hidden identifiers."""

    # The name of the secret that the hashes are made with.
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    subjects: Annotated[list[HiddenSince], Field(max_length=10_000)]
    # Devices that others use too.
    shared: Annotated[list[Hidden], Field(max_length=10_000)] = []
    # Events of the person that name none of their identifiers.
    events: Annotated[list[EventName], Field(max_length=3_000)] = []
    reason: Text | None = None
    by: Name | None = None


class Handoff(Contract):
    """A hand-off between the departments; the four types say what became of it.

    `handoff`: of an offer, its kind, as the playbook names it; of all others, the hand-off's id.
    """

    handoff: Name
    reason: Text | None = None
    by: Name | None = None
    department: DepartmentName | None = None
