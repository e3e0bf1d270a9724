"""Live rules: what was agreed, for a process that only reads. Read again whenever the register has changed."""

import asyncio

import structlog

from projections.playbook.events import PlaybookEvent
from projections.playbook.proposals import agreed_rules
from projections.playbook.rules import Rules, Terms, compile_windows
from projections.playbook.windows import Window
from store.proposals import read_said, register_version
from store.session import CONNECTION_LOST, Connection, closing, open_connection

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.5


class LiveRules:
    """The rules that follow from all playbook events, as of the last look. `first`: those the projection began with."""

    def __init__(self, first: Rules) -> None:
        self.first = first
        self._version = -1
        self._windows: tuple[Terms, dict[str, Window]] | None = None
        self.rules = first
        self.said: list[PlaybookEvent] = []
        #: whether stored journeys do not all follow the last change of terms yet
        self.sweeping = False

    async def look(self, connection: Connection) -> None:
        """Read the playbook events again, if there are new ones. Journeys may be stored under newer rules meanwhile."""
        version, self.sweeping = await register_version(connection)
        if version != self._version:
            self.said = await read_said(connection)
            self.rules = await asyncio.to_thread(agreed_rules, self.first, self.said)
            self._version = version

    def windows(self, at: int) -> dict[str, Window]:
        """The window of each department under the playbook in force at a time, microseconds since 1970 UTC."""
        terms = self.rules.at(at)
        if self._windows is None or self._windows[0] is not terms:
            self._windows = (terms, compile_windows(terms.playbook))
        return self._windows[1]


async def keep_up(agreed: LiveRules, database_url: str) -> None:
    """Look twice a second, until cancelled."""
    while True:
        try:
            async with closing(await open_connection(database_url)) as connection:
                while True:
                    await agreed.look(connection)
                    await asyncio.sleep(_LOOK_SECONDS)
        except CONNECTION_LOST as error:
            log.warning("rules may be out of date: the database does not answer", detail=str(error))
            await asyncio.sleep(_LOOK_SECONDS)
