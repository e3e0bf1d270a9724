"""Parameters of requests: one that nobody knows, or that stands twice, is a mistake and is not passed over."""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


async def only_known(request: Request) -> None:
    """A misspelt filter would filter nothing. Raises HTTPException 422."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = {field.alias for field in route.dependant.query_params}
    for name in request.query_params:
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise HTTPException(422, f"there is no parameter {name[:64]!r} here: {has}")
        if len(request.query_params.getlist(name)) > 1:
            raise HTTPException(422, f"the parameter {name} stands twice: give one")
