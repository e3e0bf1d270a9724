"""Membership: which account a person belonged to and when, and what was booked there."""

from typing import NamedTuple

from projections.identifiers import company_of, domain_of
from projections.journey.journey import Journey, earliest
from projections.playbook.rules import Rules


class Membership(NamedTuple):
    """One stay with an account. Times are microseconds since 1970 UTC."""

    account: str
    since: int
    until: int | None  #: None: the stay lasts
    weak: bool  #: known only from the domain of an address
    value: dict[str, int]  #: booked during the stay, in minor units by currency


def memberships(journey: Journey, rules: Rules) -> list[Membership]:
    """The stays in order of time: the accounts that events name, and before them the domain of a company address.

    A stay lasts until an event names another account. What was won counts for the stay of that time.
    """
    stays = _stays(journey)
    domain = _domain(journey, rules)
    if not stays and domain is None:
        return []
    if domain is not None and (not stays or domain[1] < stays[0][1]):
        stays.insert(0, (*domain, True))
    result = []
    for n, (account, since, weak) in enumerate(stays):
        until = stays[n + 1][1] if n + 1 < len(stays) else None
        result.append(Membership(account, since, until, weak, _booked(journey, since if n else None, until)))
    return result


def _stays(journey: Journey) -> list[tuple[str, int, bool]]:
    """(account, since, weak) of each change; of a group of events the first and the last count."""
    stays = [] if journey.past is None else [(account, since, False) for account, since in journey.past.stays]
    named = [moment for moment in journey.recent if moment.account is not None]
    if not named:
        return stays
    changes = sorted((at, moment.id, moment.account or "") for moment in named for at in {moment.at, moment.last})
    for at, _, account in changes:
        if not stays or stays[-1][0] != account:
            stays.append((account, at, False))
    return stays


def _domain(journey: Journey, rules: Rules) -> tuple[str, int] | None:
    """(domain, since) of the company address named first; None where there is none."""
    emails = [known for known in journey.identifiers.values() if known.type == "email"]
    of_companies = [known for known in emails if company_of(known.value, rules.free_mail) is not None]
    if not of_companies:
        return None
    first = earliest(of_companies)
    return (domain_of(first.value), first.at)


def _booked(journey: Journey, since: int | None, until: int | None) -> dict[str, int]:
    """What was won in [since, until), by currency; the first stay also has what was won before it."""
    value: dict[str, int] = {}
    if journey.life is not None and not journey.life.value:
        return value
    for moment in journey.moments:
        if moment.type != "opportunity_won" or moment.amount is None or moment.currency is None:
            continue
        if (since is None or since <= moment.at) and (until is None or moment.at < until):
            value[moment.currency] = value.get(moment.currency, 0) + moment.amount
    return value
