"""The last hour's funnel: how many transitions led to each stage. Counted in memory; read anew after a start."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import faust

from streams.agents.tandem import Tandem

WINDOW = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


class HourlyFunnel:
    """Transitions by stage in tumbling windows of a minute, of which the last sixty are kept."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._minutes: dict[datetime, Counter[str]] = {}

    def count(self, stage: str, at: datetime) -> None:
        """Count a transition that was committed at a time; older ones than the window are left out."""
        self._forget()
        minute = at.replace(second=0, microsecond=0)
        if minute > self._now() - WINDOW:
            self._minutes.setdefault(minute, Counter())[stage] += 1

    def view(self) -> dict[str, Any]:
        """The counts of the last hour as a JSON object, the commonest stage first."""
        self._forget()
        total: Counter[str] = sum(self._minutes.values(), Counter())
        return {
            "from": min(self._minutes, default=self._now()).isoformat().replace("+00:00", "Z"),
            "stages": dict(total.most_common()),
        }

    def _forget(self) -> None:
        oldest = self._now() - WINDOW
        for minute in [minute for minute in self._minutes if minute <= oldest]:
            del self._minutes[minute]


def register(app: faust.App, tandem: Tandem) -> None:
    """Count the transitions and show them as `funnel`."""
    funnel = HourlyFunnel(lambda: datetime.now(UTC))
    tandem.shown["funnel"] = funnel.view

    @app.agent(tandem.topic(f"{tandem.prefix}.transitions", since=WINDOW + _MINUTE), name="funnel-counter")
    async def funnel_counter(changes: Any) -> None:
        async for change in changes:
            if change["stage_to"] is not None:
                funnel.count(change["stage_to"], datetime.fromisoformat(change["at"]))
