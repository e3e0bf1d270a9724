"""In whose name somebody decides."""

from collections.abc import Mapping

from fastapi import Request
from starlette.exceptions import HTTPException

from api.access.caller import caller_of
from schemas.departments import Department


def speaker(
    request: Request, department: Department | None, by: str | None, speaks_for: Mapping[str, str]
) -> dict[str, str]:
    """{"department", "by"} of the caller; `speaks_for`: the department that each role may decide for.

    Raises HTTPException where it is not clear for whom the caller decides, or where they may not.
    """
    caller = caller_of(request)
    if caller is None:
        if department is None or by is None:
            raise HTTPException(422, "access is off, so the API does not know who asks: give `department` and `by`")
        return {"department": department, "by": by}
    own = sorted({speaks_for[role] for role in caller.roles if role in speaks_for})
    chosen = own[0] if department is None and len(own) == 1 else department
    if chosen is None:
        raise HTTPException(422, f"you speak for {' and '.join(own)}: give the `department`")
    if chosen not in own:
        raise HTTPException(403, f"your token does not let you decide for {chosen}")
    return {"department": chosen, "by": caller.name}
