"""What tests of the joint playbook share: playbooks that differ, and events about them."""

import uuid
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from projections.playbook.model import DEFAULT_PLAYBOOK

TEXT = DEFAULT_PLAYBOOK.read_text("utf-8")
#: A form makes a marketing-qualified lead; score 30 makes nothing any more; there is a new stage after the first.
EAGER = (
    TEXT.replace("{events: [lead_qualified], score: 100}", "{events: [lead_qualified, form_submitted], score: 100}")
    .replace("email_clicked, meeting_booked], score: 30}", "email_clicked, meeting_booked]}")
    .replace("  - name: known\n", "  - name: curious\n    when: {score: 3}\n  - name: known\n")
)


def proposal_id(number: int) -> str:
    """The id of the proposal with a number."""
    return str(uuid.UUID(int=1 << 90 | number))


def at_micros(micros: int) -> str:
    """RFC 3339 of microseconds since 1970 UTC."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="microseconds")


def said(number: int, type_: str, at: str, data: dict[str, Any], *, own: bool = False) -> tuple[str, bytes]:
    """(owner, JSON) of a joint event. The number makes its id; `own`: that of a proposal."""
    event = {
        "id": proposal_id(number) if own else str(uuid.UUID(int=1 << 91 | number)),
        "type": f"playbook_{type_}",
        "version": 1,
        "source": "plan",
        "occurred_at": at,
        "identities": [],
        "data": data,
    }
    return "joint", msgspec.json.encode(event)


def propose(number: int, at: str, text: str = EAGER, department: str = "marketing", **more: Any) -> tuple[str, bytes]:
    """A proposal."""
    digest = sha256(text.encode()).hexdigest()
    data = {"digest": digest, "playbook": text, "by": "mia", "department": department}
    return said(number, "proposed", at, data | more, own=True)


def approve(
    number: int, of: int | str, at: str, department: str, text: str = EAGER, *, by: str | None = None
) -> tuple[str, bytes]:
    """An approval of the proposal with the number, or the id, `of`."""
    proposal = of if isinstance(of, str) else proposal_id(of)
    data = {"proposal": proposal, "digest": sha256(text.encode()).hexdigest(), "department": department}
    return said(number, "approved", at, data | {"by": by or f"{department}-lead"})


def agree(number: int, at: str, text: str = EAGER, **more: Any) -> list[tuple[str, bytes]]:
    """A proposal that both departments approve at once."""
    return [
        propose(number, at, text, **more),
        approve(number + 1, number, at, "marketing", text),
        approve(number + 2, number, at, "sales", text),
    ]
