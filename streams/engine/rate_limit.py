"""Rate limit: work slower than the machine could, so that other work goes on."""

import asyncio


class RateLimit:
    """So many events a second at most. Unused capacity is not saved up."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = 0.0  #: by the loop's clock

    async def keep(self, events: int) -> None:
        """Wait until more may follow after so many events."""
        clock = asyncio.get_running_loop().time
        self._free_at = max(self._free_at, clock()) + events / self.rate
        await asyncio.sleep(self._free_at - clock())
