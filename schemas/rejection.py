"""Rejections: why a record is not applied."""

from schemas.errors import TandemError

#: Why a record is no event, by reason: what is wrong, and what to do about it.
MEANINGS = {
    "tombstone": "The record has no value. Send events with a body; nothing is deleted by a tombstone.",
    "too_large": "The event has more than 1 MiB. Send less data.",
    "not_utf8": "The bytes are not UTF-8. Correct the producer's encoding.",
    "nul_byte": "A text holds the character U+0000. Remove it.",
    "lone_surrogate": "A text holds half of a surrogate pair. Correct the producer's escapes.",
    "not_a_number": "A number is NaN or infinite. Leave the field out.",
    "too_deep": "The JSON has more than 64 levels. Flatten it.",
    "not_json": "The bytes are no JSON. Correct the producer.",
    "not_an_object": "The JSON is no object. Send one event a record.",
    "missing_field": "A required field is missing. Add the field that is named.",
    "wrong_type": "A field has another type than its contract says. Correct it.",
    "invalid_value": "A field has a value that its contract does not allow. Correct it.",
    "unknown_version": "The type has no such version. Upgrade Tandem, or send a version of the catalogue.",
    "naive_time": "A time has no offset. End it with Z or an offset such as +01:00.",
    "time_out_of_range": "A time is before 1970 or after 2099. Correct the source's clock.",
    "invalid_id": "The id is no UUID. Make one with `tandem.event_id`.",
    "too_many_identities": "The event names more than 32 identities. Name those of one person.",
    "missing_identity": "No identity names a person. Name one; values such as `null`, `0` and `test` do not count.",
    "wrong_owner": "The type belongs to another department than the topic. Send it to its own department's topic.",
    "conflict": "Another body has the same source and id, and is the event. Give each event an id of its own.",
    "erased": "The event is of a person who was erased, at a time up to the erasure. Stop sending it.",
    "unknown_secret": "The erasure was made under another secret than this database's. Restore the table `secrets`.",
}

#: Every reason a dead letter may carry.
REASONS = frozenset(MEANINGS)


class Rejection(TandemError):
    """A record is no valid event: it is not applied, and its bytes go to the dead letters with the reason.

    Correct what the reason and the field name, and send the event again.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{reason}{f' at {field}' if field else ''}: {message}")
        self.reason = reason  #: one of REASONS
        self.field = field  #: dotted path, or "" for the record as a whole
        self.message = message  #: what is wrong and what to do about it
