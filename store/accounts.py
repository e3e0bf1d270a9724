"""Accounts: the totals of the journeys of those who belong to one."""

from collections import Counter

import orjson

from projections.playbook.rules import Rules
from projections.text import time_text
from schemas.answers.accounts import Account
from store.journeys import STAGE_NOW
from store.session import Connection

_ACCOUNT = f"""
    SELECT {STAGE_NOW} AS stage, account, stays, score, last_seen FROM journeys
    WHERE accounts @> ARRAY[$2::text] AND accounts <> '{{}}'
"""


async def account_rollup(connection: Connection, rules: Rules, at: int, account: str) -> Account | None:
    """The totals of an account's journeys; None for an unknown account.

    Stages and score are of those who belong to it now; the value is what was booked while people belonged to it.
    """
    rows = await connection.fetch(_ACCOUNT, at, account)
    if not rows:
        return None
    members = [row for row in rows if row["account"] == account]
    stages = Counter(rules.names[row["stage"]] for row in members)
    value: Counter[str] = Counter()
    for row in rows:
        for stay in orjson.loads(row["stays"]):
            if stay[0] == account:
                value.update(stay[4])
    return Account(
        account=account,
        journeys=len(members),
        former=len(rows) - len(members),
        stages={name: stages[name] for name in rules.names if name in stages},
        score=sum(row["score"] for row in members),
        value=dict(sorted(value.items())),
        last_seen=time_text(max(row["last_seen"] for row in rows)),
    )
