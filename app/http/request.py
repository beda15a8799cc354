"""The request that every route gets: its body is bounded while it is read, and its JSON is read strictly."""

from typing import Any

from starlette.requests import Request

from app.http import strict_json
from app.http.errors import BodyTooLarge, UnsupportedMediaType
from app.http.services import service
from app.settings import Settings


class StrictRequest(Request):
    """A request whose body is read within `settings.max_body_bytes`, and whose JSON is strict."""

    async def body(self) -> bytes:
        """The body, whole. Raises BodyTooLarge (413) past the limit, UnsupportedMediaType (415) if it is not JSON."""
        if hasattr(self, "_body"):
            return self._body
        limit = service(self, Settings).max_body_bytes
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


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    main, _, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
