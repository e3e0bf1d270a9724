"""Upcasters: data of an older version into the next one. Pure, total on what the older contract takes."""

from decimal import Decimal
from typing import Any

from schemas.fields import MAX_AMOUNT
from schemas.rejection import Rejection

#: Currencies whose minor unit is not a hundredth (ISO 4217, list one). XXX, no currency, has no minor unit.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("UYI", "VND", "VUV", "XAF", "XOF", "XPF", "XXX"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def opportunity_won_v2(data: dict[str, Any]) -> dict[str, Any]:
    """Decimal text in major units to an integer in minor units. Raises Rejection where that would lose digits."""
    digits = _DIGITS.get(data["currency"], 2)
    minor = Decimal(data["amount"]).scaleb(digits)
    if minor != minor.to_integral_value():
        raise Rejection("invalid_value", "data.amount", f"{data['currency']} has {digits} decimal places")
    if minor > MAX_AMOUNT:
        raise Rejection("invalid_value", "data.amount", f"an amount is at most {MAX_AMOUNT} minor units")
    return {**data, "amount": int(minor)}
