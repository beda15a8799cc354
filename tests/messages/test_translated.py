"""Messages in the items of another API, by `?format=`: they come back as they went in, whatever happens to the chat."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.codecs import CODECS
from tests.callers import Json, every_item, ok, problem

pytestmark = pytest.mark.any_database

ASKED: Json = {"role": "user", "content": "What is the weather in Rome?"}
# What a model answered, with what no message of ours has: ids, a state, what is encrypted.
THOUGHT: Json = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAB", "status": None}
CALL: Json = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Rome"}',
    "status": "completed",
}
RESULT: Json = {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."}
UNHEARD_OF: Json = {"type": "brain_wave_call", "hertz": 8.0, "deep": {"list": [1, 1.0, True, None, ""]}}
ITEMS = [ASKED, THOUGHT, CALL, RESULT, UNHEARD_OF]
RESPONSES = {"format": "responses"}


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of the messages of a chat of mine, written as items of Responses."""
    chat: str = (await me.post("/chats", json={})).headers["Location"]
    ok(await me.post(f"{chat}/messages", params=RESPONSES, json={"messages": ITEMS}))
    return f"{chat}/messages"


async def items(client: httpx2.AsyncClient, path: str, **query: Any) -> list[Json]:
    """The messages as items of Responses."""
    found: list[Json] = ok(await client.get(path, params=RESPONSES | query))["items"]
    return found


async def test_each_codec_is_documented_as_a_format(app: FastAPI) -> None:
    for method in ("get", "post"):
        operation = app.openapi()["paths"]["/chats/{chat}/messages"][method]
        schema = next(one["schema"] for one in operation["parameters"] if one["name"] == "format")
        assert {"enum": sorted(CODECS)} in [{"enum": one.get("enum")} for one in [schema, *schema.get("anyOf", [])]]


async def test_items_come_back_as_they_went_in(me: httpx2.AsyncClient, path: str) -> None:
    assert await items(me, path) == ITEMS
    assert await items(me, path, order="desc") == ITEMS[::-1]
    assert await items(me, path, last=2) == ITEMS[-2:]
    assert await every_item(me, path, limit=2, **RESPONSES) == ITEMS


async def test_several_items_of_one_message_stand_in_the_order_asked_for(me: httpx2.AsyncClient, path: str) -> None:
    calls = [{"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    ok(await me.post(path, json={"role": "assistant", "content": "Let me see.", "tool_calls": calls}))
    forwards = await items(me, path, order="asc")
    assert [one["type"] for one in forwards[-3:]] == ["message", "function_call", "function_call"]
    assert await items(me, path, order="desc") == forwards[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_result_stands_in_its_call_where_the_format_has_them_together(
    me: httpx2.AsyncClient, path: str, order: str
) -> None:
    found = ok(await me.get(path, params={"format": "ui", "order": order}))["items"]
    tools = [part for message in found for part in message["parts"] if "toolCallId" in part]
    assert [(part["toolCallId"], part["state"], part["input"], part["output"]) for part in tools] == [
        ("call_1", "output-available", {"city": "Rome"}, "Sunny.")
    ]


async def test_they_are_messages_to_everybody_else(me: httpx2.AsyncClient, path: str) -> None:
    asked, thought, call, result, unheard_of = ok(await me.get(path))["items"]
    assert (asked["role"], asked["content"]) == ("user", ASKED["content"])
    assert call["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": CALL["arguments"]}}
    ]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "Sunny.")
    assert [one["type"] for one in (thought, unheard_of)] == ["reasoning", "brain_wave_call"]
    assert all("payload" not in one for one in (asked, thought, call, result, unheard_of))


async def test_an_append_answers_the_messages(me: httpx2.AsyncClient, path: str) -> None:
    one = ok(await me.post(path, params=RESPONSES, json=CALL))
    assert one == ok(await me.get(f"{path}/{one['seq']}"))
    both = ok(await me.post(path, params=RESPONSES, json={"messages": [THOUGHT, CALL]}))
    assert both["messages"] == ok(await me.get(path, params={"last": 2}))["items"]


async def test_a_retry_is_answered_the_same(me: httpx2.AsyncClient, path: str) -> None:
    retried = {"Idempotency-Key": "once"}
    answers = [await me.post(path, params=RESPONSES, json=THOUGHT, headers=retried) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert await items(me, path) == [*ITEMS, THOUGHT]
    # The same body in another language is another request.
    assert problem(await me.post(path, json={"role": "user", "content": "x"}, headers=retried), 422)


async def test_a_key_makes_the_chat(me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats/key:new/messages", params=RESPONSES, json=THOUGHT))
    assert await items(me, "/chats/key:new/messages") == [THOUGHT]


async def test_a_branch_and_a_copy_keep_them(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(path, params=RESPONSES, json={"messages": [THOUGHT], "parent": 1}))
    assert await items(me, path) == [ASKED, THOUGHT]
    assert await items(me, path, head=5) == ITEMS
    copy = ok(await me.post(f"{path.removesuffix('/messages')}/fork", json={"at": 5}))
    assert await items(me, f"/chats/{copy['chat_id']}/messages") == ITEMS


async def test_what_is_taken_off_is_given_as_an_item(me: httpx2.AsyncClient, path: str) -> None:
    taken = [ok(await me.post(f"{path}/pop", params=RESPONSES))["items"] for _ in ITEMS]
    assert taken == [[one] for one in ITEMS[::-1]]
    assert (await me.post(f"{path}/pop", params=RESPONSES)).status_code == 204


async def test_an_edit_of_what_it_says_shows_and_another_does_not(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.patch(f"{path}/3", json={"metadata": {"seen": True}}))
    assert await items(me, path) == ITEMS
    ok(await me.patch(f"{path}/4", json={"content": "Rain."}))
    edited = (await items(me, path))[3]
    assert (edited["type"], edited["call_id"], edited["output"]) == ("function_call_output", "call_1", "Rain.")


async def test_an_export_carries_them(me: httpx2.AsyncClient, path: str) -> None:
    chat = path.removesuffix("/messages")
    lines = (await me.get(f"{chat}/export", params={"format": "jsonl"})).content
    ok(await me.delete(chat, params={"hard": True}))
    ok(await me.post("/import", params={"format": "jsonl", "keep_ids": True}, files={"file": ("all.jsonl", lines)}))
    assert await items(me, path) == ITEMS


@pytest.mark.parametrize("name", sorted(CODECS))
@pytest.mark.parametrize("body", [[], "text", 1, {"messages": []}, {"messages": [1]}, {"messages": [{}] * 1001}])
async def test_what_is_no_item_is_refused(me: httpx2.AsyncClient, path: str, name: str, body: Any) -> None:
    before = ok(await me.get(path))
    assert problem(await me.post(path, params={"format": name}, json=body), 422)
    assert ok(await me.get(path)) == before


async def test_a_refusal_names_the_place(me: httpx2.AsyncClient, path: str) -> None:
    body = {"messages": [ASKED, {"role": "robot", "content": "x"}]}
    said = problem(await me.post(path, params={"format": "chat_completions"}, json=body), 422)
    assert said["errors"][0]["loc"][:3] == ["body", "messages", 1]
    assert len(await items(me, path)) == len(ITEMS)


async def test_a_format_that_there_is_not_is_refused(me: httpx2.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        said = problem(await me.request(method, path, params={"format": "klingon"}, json=ASKED), 422)
        assert said["errors"][0]["loc"] == ["query", "format"]
