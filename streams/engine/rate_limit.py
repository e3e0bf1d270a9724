"""RateLimit: work at a rate at most, so that what else runs on the machine goes on."""

import asyncio


class RateLimit:
    """So many events a second at most. What was not used is not made up for."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = 0.0  #: by the loop's clock

    async def keep(self, events: int) -> None:
        """Wait until more may follow after so many events."""
        clock = asyncio.get_running_loop().time
        self._free_at = max(self._free_at, clock()) + events / self.rate
        await asyncio.sleep(self._free_at - clock())
