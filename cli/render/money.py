"""Amounts of money as people write them."""

from cli.render.tables import HIDDEN


def money(minor: int, currency: str) -> str:
    """An amount as people write it; currencies with an odd minor unit are left in it."""
    return f"{minor:,} {currency}" if currency == "XXX" else f"{minor / 100:,.2f} {currency}"


def amounts(value: dict[str, int] | None) -> str:
    """Amounts by currency; of None it says that they are hidden."""
    return HIDDEN if value is None else ", ".join(money(amount, currency) for currency, amount in value.items())
