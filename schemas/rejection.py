"""Rejections: why a record is not applied."""

from schemas.errors import TandemError

#: Every reason a dead letter may carry.
REASONS = frozenset(
    {
        *("tombstone", "too_large", "not_utf8", "nul_byte", "lone_surrogate", "not_a_number", "too_deep", "not_json"),
        *("not_an_object", "missing_field", "wrong_type", "invalid_value", "unknown_version", "naive_time"),
        *("time_out_of_range", "invalid_id", "too_many_identities", "missing_identity", "wrong_owner", "conflict"),
        *("erased", "unknown_secret"),
    }
)


class Rejection(TandemError):
    """A record that is not applied. Its bytes go to the dead letters with the reason."""

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{reason}{f' at {field}' if field else ''}: {message}")
        self.reason = reason  #: one of REASONS
        self.field = field  #: dotted path, or "" for the record as a whole
        self.message = message  #: what is wrong and what to do about it
