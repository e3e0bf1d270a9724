"""The digest of the stored projection: one line to compare two databases by."""

from typing import NamedTuple

import asyncpg

from projections.digest import Digest
from store.scan import scan_states


class ProjectionDigest(NamedTuple):
    """What `tandem digest` prints."""

    journeys: int
    sha256: str  #: 64 hexadecimal digits; see projections/digest.py for the rule


async def projection_digest(connection: asyncpg.Connection) -> ProjectionDigest:
    """Read all journeys in one snapshot and digest them."""
    digest = Digest()
    async for journey_id, state in scan_states(connection):
        digest.add(journey_id, state)
    return ProjectionDigest(digest.journeys, digest.hex())
