"""Response to an append: the messages as they were stored, or as the first attempt stored them."""

from collections.abc import Sequence

import orjson
from starlette.responses import Response

from app.http.idempotency import REPLAYED_HEADER, IdempotentRequest, check_same_request
from app.http.references import KEY_PREFIX
from app.messages.append.contract import AppendResult, RepeatedAppend
from app.messages.append.new_message import NewMessage
from app.messages.schemas import MessageBatch, PlacedMessage
from app.messages.serialize import appended_json


def parent_of(body: PlacedMessage | MessageBatch) -> str | None:
    """The message that a body's messages follow, as text; "" for none, and None where the body does not say."""
    if "parent" not in body.model_fields_set:
        return None
    if isinstance(body.parent, str) and body.parent.startswith(KEY_PREFIX):
        return body.parent
    return "" if body.parent is None else str(body.parent).lower()


def append_response(
    result: AppendResult, new_messages: Sequence[NewMessage], idempotency: IdempotentRequest | None, *, batch: bool
) -> Response:
    """The response with the message that was appended, or those of a batch.

    Raises Unprocessable (422) where it is a retry with the key of another request.
    """
    if isinstance(result, RepeatedAppend):
        assert idempotency is not None
        assert result.appended is not None
        check_same_request(idempotency, result.request_sha256)
        appended, stored, headers = result.appended, orjson.loads(result.body), {REPLAYED_HEADER: "true"}
        for message in stored:
            message.pop("payload", None)
    else:
        appended, stored, headers = result, [message.public for message in new_messages], {}
    parents = [appended.parent_id, *(message["message_id"] for message in stored)]
    seqs = range(appended.first_seq, appended.first_seq + len(stored))
    siblings = appended.siblings and [*appended.siblings, stored[0]["message_id"]]
    messages = [
        appended_json(message, appended.chat_id, seq, parent_id, siblings if seq == appended.first_seq else None)
        for message, seq, parent_id in zip(stored, seqs, parents, strict=False)
    ]
    body = b'{"messages":[%b]}' % b",".join(messages) if batch else messages[0]
    return Response(body, 201, headers, "application/json")
