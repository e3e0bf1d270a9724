"""Field types that contracts share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=2048)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
#: In minor units (cents). Sums of ninety thousand such amounts fit into 64 bits.
MAX_AMOUNT = 10**14
Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
Currency = Annotated[
    str, Field(pattern=r"^[A-Z]{3}$", max_length=3, description="ISO 4217; XXX where no currency is declared")
]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Traits = dict[str, str | bool | Int64 | float | None]


class Contract(BaseModel):
    """The data of one event type in one version. Fields that it does not name are kept in the log and ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Money(Contract):
    """An amount in minor units of a currency."""

    amount: Amount
    currency: Currency


class Touch(Contract):
    """What every marketing event may carry: where the contact came about, and what it cost."""

    channel: Annotated[str, Field(max_length=128)] | None = None
    campaign: Annotated[str, Field(max_length=256)] | None = None
    cost: Money | None = None


class SalesFact(Contract):
    """What every sales event may carry: the sales person, and the opportunity it is about."""

    owner: Name | None = None
    opportunity: Name | None = None
