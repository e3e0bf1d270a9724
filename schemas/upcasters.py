"""Upcasters: data of an older version into the next one. They accept all that the older contract accepts."""

from decimal import Decimal
from typing import Any

from schemas.money import to_minor


def subject_erased_v2(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 named the person in a way that must not be kept: it erases nobody."""
    return {**data, "secret": "0" * 16, "subjects": []}


def opportunity_won_v2(data: dict[str, Any]) -> dict[str, Any]:
    """Decimal text in major units to an integer in minor units. Raises Rejection where that would lose digits."""
    return {**data, "amount": to_minor(Decimal(data["amount"]), data["currency"], "data.amount")}
