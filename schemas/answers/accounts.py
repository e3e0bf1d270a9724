"""What an account's journeys add up to."""

from typing import Annotated

from msgspec import UNSET

from schemas.answers.parts import Amounts, Hideable, Time, WindowedAnswer, doc


class Account(WindowedAnswer, frozen=True, kw_only=True):
    """An account. Stages and score are of those who belong to it now; the value is what was booked meanwhile."""

    account: Hideable[str] = UNSET
    journeys: Annotated[int, doc("People who belong to it now")]
    former: Annotated[int, doc("People who belonged to it before")]
    stages: Annotated[dict[str, int], doc("Journeys by stage")]
    score: Hideable[int] = UNSET
    value: Hideable[Annotated[Amounts, doc("Booked while people belonged to it, in minor units by currency")]] = UNSET
    last_seen: Time
