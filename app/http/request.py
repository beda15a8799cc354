"""The request that every route gets: its body is bounded before it is read, and JSON is read strictly."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.errors import BodyTooLarge, UnsupportedMediaType
from app.http import strict_json


class StrictRequest(Request):
    """A request whose body is read within `settings.max_body_bytes`, and whose JSON is strict."""

    async def body(self) -> bytes:
        """The body, whole. Raises BodyTooLarge (413) past the limit, UnsupportedMediaType (415) if it is not JSON."""
        if hasattr(self, "_body"):
            return self._body
        limit: int = self.app.state.settings.max_body_bytes
        declared = self.headers.get("content-length", "")
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
        if body and not _is_json(self.headers.get("content-type", "")):
            raise UnsupportedMediaType
        self._body = body
        return body

    async def json(self) -> Any:
        """The body's value. Raises Unprocessable (422) as `strict_json.loads` does."""
        return strict_json.loads(await self.body())


class StrictRoute(APIRoute):
    """A route that gives its endpoint and dependencies a StrictRequest, and may look at it before its body is read."""

    before_body: Callable[[Request], Awaitable[None]] | None = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind `before_body`."""
        handle = super().get_route_handler()
        before_body = type(self).before_body

        async def handle_strictly(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            if before_body is not None:
                await before_body(request)
            return await handle(request)

        return handle_strictly


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    main, _, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
