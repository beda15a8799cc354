"""The request that every route gets: its body is bounded before it is read, and JSON is read strictly."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.http import strict_json
from app.http.errors import BodyTooLarge, UnsupportedMediaType


class StrictRequest(Request):
    """A request whose body is read within `settings.max_body_bytes`, and whose JSON is strict."""

    async def body(self) -> bytes:
        """The body, whole. Raises BodyTooLarge (413) past the limit, UnsupportedMediaType (415) if it is not JSON."""
        if hasattr(self, "_body"):
            return self._body
        limit: int = self.app.state.settings.max_body_bytes
        declared = content_type = b""
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                declared = declared or value
            elif name == b"content-type":
                content_type = content_type or value
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
            chunks.append(chunk)
        body = b"".join(chunks)
        if body and content_type != b"application/json" and not _is_json(content_type.decode("latin-1")):
            raise UnsupportedMediaType
        self._body = body
        return body

    async def json(self) -> Any:
        """The body's value. Raises Unprocessable (422) as `strict_json.loads` does."""
        return strict_json.loads(await self.body())


class StrictRoute(APIRoute):
    """A route that gives its endpoint and dependencies a StrictRequest, and may look at it before its body is read."""

    before_body: Callable[[Request], Awaitable[None]] | None = None
    plain: Callable[[Request], Awaitable[Response]] | None = None
    """Makes the response of a plain route, for `app.http.plain`."""

    async def read_body(self, request: Request) -> Any:
        """The value of a request's body, to be validated; None where there is none. For plain routes alone."""
        return await request.json() if await request.body() else None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler or, where that is enough, `_directly`, behind `before_body`."""
        plain = _is_plain(self)
        handle = _directly(self) if plain else super().get_route_handler()
        before_body = type(self).before_body

        async def handle_strictly(request: Request) -> Response:
            if not isinstance(request, StrictRequest):
                request = StrictRequest(request.scope, request.receive)
            if before_body is not None:
                await before_body(request)
            return await handle(request)

        if plain:
            self.plain = handle_strictly
        return handle_strictly


def _is_plain(route: APIRoute) -> bool:
    """Whether a route's endpoint makes its response from the request, texts of the path, a body and such dependencies
    as need the request alone."""
    takes = route.dependant
    return (
        inspect.signature(route.endpoint).return_annotation is Response
        and not (takes.query_params or takes.header_params or takes.cookie_params)
        and all(field.field_info.annotation is str for field in takes.path_params)
        and all(one.name is not None and _needs_the_request_alone(one) for one in takes.dependencies)
    )


def _needs_the_request_alone(dependant: Dependant) -> bool:
    params = (dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params)
    return (
        dependant.request_param_name == "request"
        and not any(params)
        and not dependant.body_params
        and not dependant.dependencies
    )


def _directly(route: "StrictRoute") -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """A handler that calls a plain route's endpoint itself.

    FastAPI solves dependencies anew for each request, for as much time as all the rest of an append takes. It still
    documents the route.
    """
    takes, body_field = route.dependant, route.body_field
    path = {field.name: field.alias for field in takes.path_params}
    dependencies: dict[str, Any] = {one.name or "": one.call for one in takes.dependencies}

    async def handle_directly(request: Request) -> Response:
        arguments: dict[str, Any] = {name: request.path_params[alias] for name, alias in path.items()}
        for name, dependency in dependencies.items():
            arguments[name] = await dependency(request=request)
        if takes.request_param_name:
            arguments[takes.request_param_name] = request
        if body_field is not None:
            value = await route.read_body(request)
            arguments[body_field.name], errors = body_field.validate(value, {}, loc=("body",))
            if errors:
                raise RequestValidationError(errors)
        response: Response = await route.endpoint(**arguments)
        return response

    return handle_directly


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    main, _, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
