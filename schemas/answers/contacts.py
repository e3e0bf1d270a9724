"""Who somebody is, in short: identifiers and consent."""

from typing import Annotated

from schemas.answers.parts import Answer, Id, Time, doc

Consent = Annotated[dict[str, bool], doc("By purpose: whether the person consented, as was said last")]


class Identifier(Answer, frozen=True, kw_only=True):
    """An identifier of a person."""

    type: Annotated[str, doc("Such as email, phone, user_id, anonymous_id")]
    value: str


class SeenIdentifier(Identifier, frozen=True, kw_only=True):
    """An identifier, and when it was first seen."""

    first_seen: Time


class Contact(Answer, frozen=True, kw_only=True):
    """The person behind something: what systems find their own records by."""

    journey_id: Id
    identifiers: list[Identifier]
    consent: Consent
