"""What goes wrong is told as OpenAI tells it, and OpenAI's client raises what it raises there."""

import asyncio
from collections.abc import Callable

import httpx2
import openai
import pytest

from tests.callers import Json, ok, openai_error
from tests.openai_api.clients import async_client, client
from tests.servers.service import ServiceProcess, StartService

pytestmark = pytest.mark.any_database

ITEM: Json = {"role": "user", "content": "x"}
ABSENT = "conv_01932c071f3e70008000abcdef012345"


def test_who_calls_is_asked_first(running: ServiceProcess, ann: openai.OpenAI, native: httpx2.Client) -> None:
    made = ann.conversations.create()
    for key in ("ck_" + "x" * 43, "nonsense"):
        with pytest.raises(openai.AuthenticationError) as openai_errors:
            ann.with_options(api_key=key).conversations.retrieve(made.id)
        assert (openai_errors.value.type, openai_errors.value.code) == ("authentication_error", "invalid_api_key")
        assert openai_errors.value.response.headers["www-authenticate"] == "Bearer"
    reader = ok(native.post("/admin/api-keys", json={"name": "r", "user_id": "rea", "scopes": ["chats:read"]}))
    with openai.OpenAI(
        base_url=f"{running.base_url}/v1",
        api_key=reader["key"],
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as rea:
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            rea.conversations.create()
        assert forbidden.value.type == "permission_error"
        with pytest.raises(openai.NotFoundError):
            rea.conversations.retrieve(made.id)
    with pytest.raises(openai.BadRequestError):
        ann.with_options(set_default_headers={}).conversations.retrieve(made.id)


def test_what_is_not_there(ann: openai.OpenAI) -> None:
    made = ann.conversations.create(items=[ITEM])  # type: ignore[list-item]
    calls: list[Callable[[str], object]] = [
        ann.conversations.retrieve,
        ann.conversations.delete,
        ann.conversations.items.list,
        lambda one: ann.conversations.update(one, metadata={}),
        lambda one: ann.conversations.items.create(one, items=[ITEM]),  # type: ignore[list-item]
        lambda one: ann.conversations.items.retrieve("msg_1", conversation_id=one),
        lambda one: ann.conversations.items.delete("msg_1", conversation_id=one),
        lambda one: ann.conversations.items.retrieve(f"msg_{'0' * 32}", conversation_id=made.id),
        lambda one: ann.conversations.items.delete("msg_abc", conversation_id=made.id),
        lambda one: ann.get("/models", cast_to=object),
        lambda one: ann.get("/", cast_to=object),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as absent:
            call(ABSENT)
        assert (absent.value.type, absent.value.code) == ("invalid_request_error", "not_found")
        assert absent.value.request_id


def test_what_the_client_would_not_send(native: httpx2.Client, ann: openai.OpenAI) -> None:
    made = ann.conversations.create()
    items = f"/v1/conversations/{made.id}/items"
    assert openai_error(native.put(items), 405)["code"] == "method_not_allowed"
    openai_error(native.get("/v1"), 404)
    openai_error(native.post(items, content=b"{"), 415)
    json = {"Content-Type": "application/json"}
    assert openai_error(native.post(items, content=b"{", headers=json), 400)["param"] is None
    assert openai_error(native.post(items, json={}), 400)["param"] == "items"
    assert openai_error(native.get(items, params={"limit": 101}), 400)["param"] == "limit"
    assert openai_error(native.get(items, params={"limit": 0}), 400)["param"] == "limit"
    assert openai_error(native.get(items, params={"order": "up"}), 400)["param"] == "order"
    for after in ("", "x", "msg_1", f"msg_{'0' * 32}", "\0"):
        assert openai_error(native.get(items, params={"after": after}), 400)["param"] == "after"
    # Elsewhere errors are told as ever.
    assert native.get("/v2/x").headers["content-type"] == "application/problem+json"


def test_too_large_a_body(service: StartService) -> None:
    with client(service(max_body_bytes=10_000).base_url) as user, pytest.raises(openai.APIStatusError) as openai_errors:
        user.conversations.create(items=[{"role": "user", "content": "x" * 10_000}])
    assert (openai_errors.value.status_code, openai_errors.value.code) == (413, "body_too_large")


def test_a_chat_whose_turn_another_holds_is_locked(ann: openai.OpenAI, native: httpx2.Client) -> None:
    made = ann.conversations.create(items=[ITEM])  # type: ignore[list-item]
    (chat,) = ok(native.get("/chats"))["items"]
    turn = ok(native.post(f"/chats/{chat['chat_id']}/turn", json={"holder": "worker", "seconds": 60}))
    for headers in ({}, {"x-stainless-retry-count": "1"}):
        with pytest.raises(openai.BadRequestError) as locked:
            ann.conversations.items.create(made.id, items=[{"role": "user", "content": "y"}], extra_headers=headers)
        assert locked.value.code == "conversation_locked"
    holder = {"Turn-Token": str(turn["token"])}
    ann.conversations.items.create(made.id, items=[{"role": "user", "content": "y"}], extra_headers=holder)
    ann.conversations.update(made.id, metadata={"a": "b"})
    ok(native.delete(f"/chats/{chat['chat_id']}/turn", headers=holder))
    calls: list[Callable[[], object]] = [
        lambda: ann.conversations.items.create(made.id, items=[ITEM], extra_headers=holder),  # type: ignore[list-item]
        lambda: ann.conversations.update(made.id, metadata={}, extra_headers=holder),
    ]
    for call in calls:
        with pytest.raises(openai.BadRequestError) as over:
            call()
        assert over.value.code == "conflict"
    assert len(ann.conversations.items.list(made.id).data) == 2


async def test_a_server_that_is_busy_says_when_to_come_again(service: StartService) -> None:
    async with async_client(service(write_queue_size=1).base_url, max_retries=0) as user:
        made = await user.conversations.create()
        calls = [user.conversations.items.create(made.id, items=[ITEM]) for _ in range(50)]  # type: ignore[list-item]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        busy = [one for one in answers if isinstance(one, openai.InternalServerError)]
        assert busy
        for error in busy:
            assert (error.status_code, error.code, error.type) == (503, "overloaded", "server_error")
            assert error.response.headers["retry-after"] == "1"
        # Who was refused stored nothing.
        assert len([one async for one in user.conversations.items.list(made.id)]) == len(answers) - len(busy)
