"""What verifications found, as lines of text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.chain import Proven
    from audit.checkpoints import Checkpoint
    from audit.verify import Verdict


def checkpoint_text(checkpoint: "Checkpoint") -> str:
    """One signed checkpoint."""
    return f"{checkpoint.size:,} batches signed at {checkpoint.signed_at}, root {checkpoint.root[:16]}"


def integrity_text(proven: "Proven") -> str:
    """Whether the records are as they were committed: each finding, then the verdict."""
    lines = [
        f"{'' if one.batch_id is None else f'batch {one.batch_id}: '}{one.where}: {one.what}" for one in proven.findings
    ]
    state = "are as they were committed" if proven.sound else "are NOT as they were committed"
    return "\n".join(
        [
            *lines,
            f"{proven.events:,} events in {proven.size:,} batches {state}; {proven.erased:,} were erased",
            f"{proven.checkpoints:,} checkpoints cover {proven.signed:,} batches; root {proven.root[:16]}",
        ]
    )


def verdict_text(verdict: "Verdict") -> str:
    """Whether the live projection follows from the records: each difference, then the verdict."""
    state = "is what the facts make it" if verdict.sound else "DIFFERS from what the facts make"
    return "\n".join(
        [
            *(f"{one.table} {one.key}: {one.what}" for one in verdict.differences),
            f"{verdict.journeys:,} journeys from {verdict.events:,} events: the live projection {state}",
            f"digest {verdict.sha256[:16]}; {verdict.meanwhile:,} changes came meanwhile",
        ]
    )
