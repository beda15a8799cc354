"""Plain routes, served ahead of FastAPI and its middlewares.

Those keep what a plain endpoint does not use: files to be closed, dependencies with an end, limits of forms, telemetry.
Without them a small request, such as a chunk of an answer, costs a fifth less.
"""

from collections.abc import Callable
from re import Match
from typing import Any

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.request import StrictRequest, StrictRoute

_Matches = Callable[[str], Match[str] | None]


class PlainRoutes:
    """A middleware, the innermost one: serves the plain routes of `service`, and leaves everything else to FastAPI."""

    def __init__(self, app: ASGIApp, service: Starlette) -> None:
        self._app = app
        self._handlers: dict[Any, Any] = dict(service.exception_handlers)
        self._routes: dict[str, list[tuple[_Matches, StrictRoute]]] = {}
        others: list[Route] = []
        for route in service.routes:
            if not isinstance(route, Route):
                continue
            if isinstance(route, StrictRoute) and route.plain and not any(_meet(route, other) for other in others):
                for method in route.methods or ():
                    self._routes.setdefault(method, []).append((route.path_regex.match, route))
            else:
                others.append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request (ASGI)."""
        if scope["type"] == "http":
            path = get_route_path(scope)
            for matches, route in self._routes.get(scope["method"], ()):
                if (match := matches(path)) is not None:
                    scope["path_params"] = match.groupdict()
                    scope["route"] = route
                    await self._serve(route, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _serve(self, route: StrictRoute, scope: Scope, receive: Receive, send: Send) -> None:
        assert route.plain is not None
        request = StrictRequest(scope, receive)
        try:
            response = await route.plain(request)
        except Exception as error:
            handle = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handle is None:
                raise
            response = await handle(request, error)
            # A problem that is raised again and again would drag along where it was raised before.
            error.__traceback__ = None
        await response(scope, receive, send)


def _meet(one: BaseRoute, other: BaseRoute) -> bool:
    """Whether a path could be for both: then they are tried in their order, by FastAPI."""
    if not isinstance(one, Route) or not isinstance(other, Route):
        return True
    both = (one.methods or set()) & (other.methods or set())
    return bool(both) and bool(one.path_regex.match(other.path_format) or other.path_regex.match(one.path_format))
