"""Every codec through the service, on both databases: what is posted comes back equal, and is read in all others."""

from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.codecs import CODECS, Codec, encode_message, same_json
from tests.callers import Json, ok, problem
from tests.codecs.test_contract import items
from tests.profiles import examples

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)

BATCHES = st.one_of(
    [st.tuples(st.just(one), st.lists(items(one).ITEMS, min_size=1, max_size=5)) for one in CODECS.values()]
)


async def posted(client: httpx2.AsyncClient, codec: Codec, batch: list[Json]) -> str:
    """Posts items as one batch to a new chat; gives the path of its messages."""
    chat = (await client.post("/chats", json={})).headers["Location"]
    ok(await client.post(f"{chat}/messages", params={"format": codec.name}, json={"messages": batch}))
    return f"{chat}/messages"


async def read(client: httpx2.AsyncClient, path: str, **query: Any) -> list[Json]:
    """The items of a page of 200."""
    found: list[Json] = ok(await client.get(path, params={"limit": 200, **query}))["items"]
    return found


@every_codec
@pytest.mark.any_database
async def test_examples_come_back_equal(me: httpx2.AsyncClient, codec: Codec) -> None:
    examples = items(codec).EXAMPLES
    path = await posted(me, codec, examples)
    for item in examples:
        ok(await me.post(path, params={"format": codec.name}, json=item))
    assert same_json(await read(me, path, format=codec.name), [*examples, *examples])
    messages = await read(me, path)
    assert len(messages) == 2 * len(examples)
    for other in CODECS.values():
        found = await read(me, path, format=other.name)
        if other is not codec:
            encoded = [item for message in messages for item in encode_message(other, message, None)]
            assert same_json(found, other.join(encoded) if other.join else encoded)
    last = ok(await me.post(f"{path}/pop", params={"format": codec.name}))
    assert same_json(last["items"], examples[-1:])


@examples(fast=15, all=160)
@given(written=BATCHES)
async def test_items_come_back_equal(me: httpx2.AsyncClient, written: tuple[Codec, list[Json]]) -> None:
    codec, batch = written
    path = await posted(me, codec, batch)
    assert same_json(await read(me, path, format=codec.name), orjson.loads(orjson.dumps(batch)))
    for other in CODECS:
        await read(me, path, format=other)


@every_codec
async def test_what_is_no_item_is_refused_and_stores_nothing(me: httpx2.AsyncClient, codec: Codec) -> None:
    chat = (await me.post("/chats", json={})).headers["Location"]
    path, query = f"{chat}/messages", {"format": codec.name}
    problem(await me.post(path, params=query, json={}), 422)
    batch = [items(codec).EXAMPLES[0], {"nothing": "of it"}]
    details = problem(await me.post(path, params=query, json={"messages": batch}), 422)
    assert details["errors"][0]["loc"][:3] == ["body", "messages", 1]
    assert await read(me, path) == []


async def test_an_unknown_format_is_refused(me: httpx2.AsyncClient) -> None:
    chat = (await me.post("/chats", json={})).headers["Location"]
    problem(await me.get(f"{chat}/messages", params={"format": "esperanto"}), 422)
    problem(await me.post(f"{chat}/messages", params={"format": "esperanto"}, json={"role": "user"}), 422)


async def test_a_chat_in_items_gives_a_sound_context(me: httpx2.AsyncClient) -> None:
    path = await posted(me, CODECS["responses"], CONVERSATION)
    chat = path.removesuffix("/messages")
    assert ok(await me.get(f"{chat}/lint"))["items"] == []
    context = ok(await me.get(f"{chat}/context"))
    assert [message["role"] for message in context["messages"]] == ["user", "assistant", "tool", "tool", "assistant"]
    assert [call["id"] for call in context["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
    assert len(ok(await me.get(f"{chat}/context", params={"format": "responses"}))["input"]) == 6
    assert len(ok(await me.get(f"{chat}/context", params={"format": "anthropic"}))["messages"]) == 4


CONVERSATION: list[Json] = [
    {"role": "user", "content": "Warm in Rome and Oslo?"},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'},
    {"type": "reasoning", "id": "rs_2", "summary": []},
    {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "weather", "arguments": '{"city":"Oslo"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "30 degrees."},
    {"type": "function_call_output", "call_id": "call_2", "output": "5 degrees."},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "In Rome.", "annotations": []}],
    },
]
