"""Membership: which account a person belonged to when, and what was booked there."""

from typing import NamedTuple

from projections.identifiers import company_of, domain_of
from projections.journey.journey import Journey, earliest
from projections.playbook.model import Rules


class Membership(NamedTuple):
    """One stay with an account. Times are microseconds since 1970 UTC."""

    account: str
    since: int
    until: int | None  #: None: to this day
    weak: bool  #: only the domain of an address says so
    value: dict[str, int]  #: booked during the stay, in minor units by currency


def memberships(journey: Journey, rules: Rules) -> list[Membership]:
    """The stays in order of time: what events name; before the first named account, a company address's domain.

    A stay lasts until an event names another account. What was won is booked where the person was at the time.
    """
    stays = _stays(journey)
    domain = _domain(journey, rules)
    if not stays and domain is None:
        return []
    if domain is not None and (not stays or domain[1] < stays[0][1]):
        stays.insert(0, (*domain, True))
    found = []
    for n, (account, since, weak) in enumerate(stays):
        until = stays[n + 1][1] if n + 1 < len(stays) else None
        found.append(Membership(account, since, until, weak, _booked(journey, since if n else None, until)))
    return found


def _stays(journey: Journey) -> list[tuple[str, int, bool]]:
    """(account, since, weak) of each change; of a group of events the first and the last count."""
    stays = [] if journey.past is None else [(account, since, False) for account, since in journey.past.stays]
    named = [moment for moment in journey.recent if moment.account is not None]
    if not named:
        return stays
    said = sorted((at, moment.id, moment.account or "") for moment in named for at in {moment.at, moment.last})
    for at, _, account in said:
        if not stays or stays[-1][0] != account:
            stays.append((account, at, False))
    return stays


def _domain(journey: Journey, rules: Rules) -> tuple[str, int] | None:
    """(domain, since) of the company address that was named first."""
    emails = [known for known in journey.identifiers.values() if known.type == "email"]
    of_companies = [known for known in emails if company_of(known.value, rules.free_mail) is not None]
    if not of_companies:
        return None
    first = earliest(of_companies)
    return (domain_of(first.value), first.at)


def _booked(journey: Journey, since: int | None, until: int | None) -> dict[str, int]:
    """What was won in [since, until), by currency; the first stay has what was won before it, too."""
    value: dict[str, int] = {}
    if journey.life is not None and not journey.life.value:
        return value
    for moment in journey.moments:
        if moment.type != "opportunity_won" or moment.amount is None or moment.currency is None:
            continue
        if (since is None or since <= moment.at) and (until is None or moment.at < until):
            value[moment.currency] = value.get(moment.currency, 0) + moment.amount
    return value
