"""Money: amounts in major units into minor ones."""

from decimal import Decimal

from schemas.fields import MAX_AMOUNT
from schemas.rejection import Rejection

#: Currencies whose minor unit is not a hundredth (ISO 4217, list one). XXX, no currency, has no minor unit.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("UYI", "VND", "VUV", "XAF", "XOF", "XPF", "XXX"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def to_minor(amount: Decimal, currency: str, field: str) -> int:
    """An amount in minor units. Raises Rejection where that would lose digits."""
    digits = _DIGITS.get(currency, 2)
    minor = amount.scaleb(digits)
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise Rejection("invalid_value", field, f"{currency} has {digits} decimal places")
    if minor > MAX_AMOUNT:
        raise Rejection("invalid_value", field, f"an amount is at most {MAX_AMOUNT} minor units")
    return int(minor)
