"""Every route refuses parameters that it does not have."""

from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app
from api.http.strict_parameters import StrictRoute


def test_every_route_is_strict() -> None:
    app = create_app(database_url="postgresql://nowhere", kafka=None)
    routes = [route for one in iter_route_contexts(app.routes) if isinstance(route := one.original_route, APIRoute)]
    assert routes
    assert [route.path for route in routes if not isinstance(route, StrictRoute)] == []
