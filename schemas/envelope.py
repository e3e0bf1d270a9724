"""The envelope: what every event carries, whatever its type."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.fields import Contract, Int64, Name

MAX_BYTES = 1_048_576  #: per event
MAX_IDENTITIES = 32
MAX_DEPTH = 64  #: of nested objects and arrays, the event itself included

#: Strongest first.
IdentityType = Literal["user_id", "crm_contact", "crm_lead", "email", "phone", "anonymous_id", "account"]

TYPE_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"


class Identity(Contract):
    """One identifier of whom the event is about. Null means that the source has none."""

    type: IdentityType
    value: Annotated[str, Field(max_length=512)] | Int64 | None = None


class Envelope(Contract):
    """An event as it lies in Kafka: a JSON object in UTF-8."""

    id: Annotated[str, Field(min_length=36, max_length=36, description="UUID; of version 7 from the SDK")]
    type: Annotated[str, Field(pattern=TYPE_PATTERN, max_length=64)]
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    source: Name
    occurred_at: Annotated[str, Field(max_length=64, description="RFC 3339 with an offset")]
    identities: Annotated[list[Identity], Field(max_length=MAX_IDENTITIES)] = []
    consent: dict[str, bool] = {}
    data: dict[str, Any] = {}
