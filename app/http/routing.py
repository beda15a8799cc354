"""The route classes: strict routes, which are FastAPI's own, and the few hot ones, which are served by a shorter way.

FastAPI solves dependencies anew for each request, for as much time as all the rest of an append takes, and its
middlewares keep what a hot route does not use (files to be closed, limits of forms, telemetry), for another fifth of a
small request. So a route that is asked for many times a second is declared on a router with a `HotRoute`: its endpoint
is called directly, ahead of those middlewares. FastAPI still documents it.
"""

from collections.abc import Awaitable, Callable, Coroutine
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from re import Match
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.request import StrictRequest

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route of FastAPI whose endpoint and dependencies get a StrictRequest.

    `before_body` is awaited before anything of the body is read, where a subclass has one.
    """

    before_body: Callable[[Request], Awaitable[None]] | None = None

    def get_route_handler(self) -> _Handler:
        """The handler that FastAPI asks a route for."""
        handle = self.endpoint_handler()
        before_body = type(self).before_body

        async def handle_strictly(request: Request) -> Response:
            if not isinstance(request, StrictRequest):
                request = StrictRequest(request.scope, request.receive)
            if before_body is not None:
                await before_body(request)
            return await handle(request)

        return handle_strictly

    def endpoint_handler(self) -> _Handler:
        """What calls the endpoint: FastAPI's own handler."""
        return super().get_route_handler()


class HotRoute(StrictRoute):
    """A route whose endpoint is called directly.

    The endpoint takes the request, texts of the path, one body, and dependencies that need the request alone; it makes
    its own Response. It reads the query and the headers from the request. Anything else is a TypeError
    when the route is defined.
    """

    respond: _Handler

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if not iscoroutinefunction(endpoint) or not _can_be_called_directly(self.dependant):
            raise TypeError(f"{endpoint.__qualname__} is no endpoint for a hot route: see HotRoute")

    async def read_body(self, request: Request) -> Any:
        """The value of a request's body, which is then validated; None where there is none."""
        return await request.json() if await request.body() else None

    def get_route_handler(self) -> _Handler:
        """The handler, which `HotRoutes` calls as well."""
        self.respond = super().get_route_handler()
        return self.respond

    def endpoint_handler(self) -> _Handler:
        """What calls the endpoint, with its arguments put together here."""
        dependant, body_field = self.dependant, self.body_field
        path = {field.name: field.alias for field in dependant.path_params}
        dependencies: dict[str, Any] = {sub.name or "": sub.call for sub in dependant.dependencies}

        async def call_directly(request: Request) -> Response:
            arguments: dict[str, Any] = {name: request.path_params[alias] for name, alias in path.items()}
            for name, dependency in dependencies.items():
                arguments[name] = await dependency(request=request)
            if dependant.request_param_name:
                arguments[dependant.request_param_name] = request
            if body_field is not None:
                value = await self.read_body(request)
                arguments[body_field.name], errors = body_field.validate(value, {}, loc=("body",))
                if errors:
                    raise RequestValidationError(errors)
            response: Response = await self.endpoint(**arguments)
            return response

        return call_directly


def _can_be_called_directly(dependant: Dependant) -> bool:
    return (
        not (dependant.query_params or dependant.header_params or dependant.cookie_params)
        and all(field.field_info.annotation is str for field in dependant.path_params)
        and all(sub.name is not None and _needs_the_request_alone(sub) for sub in dependant.dependencies)
    )


def _needs_the_request_alone(dependant: Dependant) -> bool:
    params = (dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params)
    return (
        dependant.request_param_name == "request"
        and not any(params)
        and not dependant.body_params
        and not dependant.dependencies
        and not isgeneratorfunction(dependant.call)
        and not isasyncgenfunction(dependant.call)
    )


class HotRoutes:
    """A middleware, the innermost one: serves the hot routes of `service`, and leaves everything else to FastAPI."""

    def __init__(self, app: ASGIApp, service: Starlette) -> None:
        self._app = app
        self._handlers: dict[Any, Any] = dict(service.exception_handlers)
        self._routes: dict[str, list[tuple[Callable[[str], Match[str] | None], HotRoute]]] = {}
        for route in service.routes:
            if isinstance(route, HotRoute):
                for method in route.methods or ():
                    self._routes.setdefault(method, []).append((route.path_regex.match, route))

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

    async def _serve(self, route: HotRoute, scope: Scope, receive: Receive, send: Send) -> None:
        request = StrictRequest(scope, receive)
        try:
            response = await route.respond(request)
        except Exception as error:
            handle = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handle is None:
                raise
            response = await handle(request, error)
            # A problem that is raised again and again would drag along where it was raised before.
            error.__traceback__ = None
        await response(scope, receive, send)
