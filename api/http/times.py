"""Times in requests."""

from datetime import UTC, datetime

from starlette.exceptions import HTTPException


def instant(time: datetime, name: str) -> datetime:
    """The time of the parameter `name` in UTC. Raises HTTPException 422 where it has no offset or no place in UTC."""
    if time.tzinfo is None:
        raise HTTPException(422, f"{name} has no offset: end it with Z or an offset such as -03:00")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise HTTPException(422, f"{name} is out of range: give a year from 1 to 9999, in UTC") from error
