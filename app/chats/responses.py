"""Responses with a chat, and its ETag."""

from typing import Any

from starlette.responses import Response

from app.chats.serialize import chat_json, etag_of, row_of
from app.http.idempotency import StoredResponse
from app.models import Chat


def chat_response(row: Any, status: int = 200) -> Response:
    """A chat as a response, with its ETag."""
    headers = {"ETag": etag_of(row), "Cache-Control": "private, no-cache"}
    return Response(chat_json(row), status, headers, "application/json")


def chat_created(chat: Chat, root_path: str) -> StoredResponse:
    """The response to a request that created a chat."""
    row = row_of(chat)
    headers = {"ETag": etag_of(row), "Location": f"{root_path}/chats/{chat.chat_id}"}
    return StoredResponse(201, chat_json(row), headers, chat.chat_id)
