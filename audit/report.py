"""The audit report: is everything there, is it unchanged, does it follow, and who did what; for a span of time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from audit.chain import Finding, prove
from audit.checkpoints import Checkpoint
from audit.verify import verify
from projections.playbook.model import Rules
from projections.playbook.proposals import proposals_of
from projections.views.playbook import proposal_view
from store.proposals import read_said
from store.report import Span, days, dead_by_reason, erasures, read_days, readers
from store.session import closing, open_connection
from store.status import progress

Tell = Callable[[int, int], None]


async def report(
    database_url: str,
    rules: Rules,
    span: Span,
    checkpoints: Sequence[Checkpoint],
    unread: Sequence[Finding],
    now: datetime,
    tell: Tell,
) -> dict[str, Any]:
    """The report as a JSON object. `unread`: what is wrong with checkpoints that are not compared.

    Raises what `verify` raises.
    """
    verdict = await verify(database_url, rules, tell)
    async with closing(await open_connection(database_url)) as connection:
        proven = await prove(connection, checkpoints, lambda *_: None)
        findings = [*proven.findings, *unread]
        integrity = {
            **proven._asdict(),
            "findings": [one._asdict() for one in findings],
            "sound": not findings,
            "last_signed_at": max((one.signed_at for one in checkpoints), default=None),
        }
        reproducibility = {
            **verdict._asdict(),
            "differences": [one._asdict() for one in verdict.differences],
            "sound": verdict.sound,
        }
        completeness = await _completeness(connection, span)
        return {
            "report": "tandem audit report 1",
            "from": span.start.isoformat(),
            "to": span.end.isoformat(),
            "made_at": now.isoformat(),
            "sound": verdict.sound and not findings and completeness["sound"],
            "completeness": completeness,
            "integrity": integrity,
            "reproducibility": reproducibility,
            "erasures": await erasures(connection, span),
            "playbook": await _playbook(connection, rules, span),
            "reads": {"by_day": await read_days(connection, span), "by_reader": await readers(connection, span)},
        }


async def _completeness(connection: asyncpg.Connection, span: Span) -> dict[str, Any]:
    found = await progress(connection)
    return {
        "sound": all(one.sound for one in found),
        "partitions": [
            {
                "partition": f"{one.topic}/{one.partition}",
                "read": one.read,
                "applied": one.applied,
                "duplicates": one.duplicates,
                "dead_letters": one.dead,
                "holes": one.holes,
                "sound": one.sound,
            }
            for one in found
        ],
        "by_day": await days(connection, span),
        "dead_letters": await dead_by_reason(connection, span),
    }


async def _playbook(connection: asyncpg.Connection, rules: Rules, span: Span) -> list[dict[str, Any]]:
    """Proposals that were made, or came into force, in the span."""
    start, end = (int(time.timestamp() * 1_000_000) for time in span)
    return [
        msgspec.to_builtins(proposal_view(one, end))
        for one in proposals_of(await read_said(connection), rules.playbook)
        if start <= one.said.order[0] < end or (one.since is not None and start <= one.since < end)
    ]
