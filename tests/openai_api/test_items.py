"""Items by OpenAI's client: every type goes in and comes out, and pages have each item once, in order."""

import openai
import pytest
from pydantic import BaseModel

from tests.callers import Json
from tests.openai_api.clients import client, plain
from tests.openai_api.union import MODELS, items, kind_of
from tests.servers.service import ServiceProcess


def without_id(item: Json) -> Json:
    """An item but for its id, which is ours."""
    return {name: value for name, value in item.items() if name != "id"}


@pytest.mark.any_database
@pytest.mark.parametrize("model", MODELS, ids=kind_of)
def test_items_of_every_type_come_back_as_they_went_in(ann: openai.OpenAI, model: type[BaseModel]) -> None:
    conversation = ann.conversations.create()
    given = list(items(model))
    stored_response: list[Json] = []
    for start in range(0, len(given), 20):
        added = ann.conversations.items.create(conversation.id, items=given[start : start + 20])  # type: ignore[arg-type]
        stored_response += map(plain, added.data)
    assert [without_id(one) for one in stored_response] == [without_id(one) for one in given]
    listed = [plain(one) for one in ann.conversations.items.list(conversation.id, order="asc", limit=3)]
    assert listed == stored_response
    assert len({one["id"] for one in stored_response}) == len(given)
    for one in stored_response[:3]:
        assert plain(ann.conversations.items.retrieve(one["id"], conversation_id=conversation.id)) == one
    # What came out goes in: the Agents SDK sends it back.
    again = ann.conversations.items.create(conversation.id, items=listed[:20])  # type: ignore[arg-type]
    assert [without_id(plain(one)) for one in again.data] == [without_id(one) for one in given[:20]]


def test_what_the_union_requires_is_there(ann: openai.OpenAI) -> None:
    conversation = ann.conversations.create()
    added = ann.conversations.items.create(
        conversation.id,
        items=[
            {"role": "user", "content": "Hi!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.test/a.png"}]},  # type: ignore[list-item, misc]
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "x", "status": None},
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image", "file_id": "file_1"}]},
            {"type": "tool_search_call", "arguments": {}},
            {"type": "tool_search_output", "call_id": "c", "tools": []},
            {"type": "reasoning", "encrypted_content": "x"},  # type: ignore[typeddict-item]
        ],
    )
    assert [without_id(plain(one)) for one in added.data] == [
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi!"}],
            "status": "completed",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}],
            "status": "completed",
        },
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Be brief."}],
            "status": "completed",
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto"}],
            "status": "completed",
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "1", "output": "x", "status": "completed"},
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [{"type": "input_image", "file_id": "file_1", "detail": "auto"}],
            "status": "completed",
        },
        {"type": "tool_search_call", "arguments": {}, "execution": "server", "status": "completed"},
        {"type": "tool_search_output", "call_id": "c", "tools": [], "execution": "client", "status": "completed"},
        {"type": "reasoning", "encrypted_content": "x", "summary": []},
    ]
    beginnings = [one.id.partition("_")[0] for one in added.data if one.id]
    assert beginnings == ["msg", "msg", "msg", "msg", "fc", "fco", "fco", "tsc", "tso", "rs"]


UNKNOWN: Json = {
    "type": "telepathy_call",
    "id": "tp_1",
    "thoughts": [{"x": None, "": 1}, 2, "3"],
    "status": None,
    "role": "oracle",
    "content": None,
}


def test_an_item_of_a_type_that_nobody_knows_is_kept_whole(running: ServiceProcess, user_id: str) -> None:
    with client(running.base_url, user_id) as strict:
        lenient = strict.with_options(_extra_kwargs={"_strict_response_validation": False})
        conversation = strict.conversations.create()
        (added,) = lenient.conversations.items.create(conversation.id, items=[UNKNOWN]).data  # type: ignore[list-item]
        assert added.id
        assert added.id.startswith("item_")
        raw = strict.conversations.items.with_raw_response.retrieve(added.id, conversation_id=conversation.id)
        assert raw.http_response.json() == UNKNOWN | {"id": added.id}
        (listed,) = lenient.conversations.items.list(conversation.id)
        assert plain(listed) == UNKNOWN | {"id": added.id}


async def test_a_thousand_items_by_pages_both_ways(ann: openai.OpenAI, async_ann: openai.AsyncOpenAI) -> None:
    conversation = ann.conversations.create()
    ids: list[str] = []
    for start in range(0, 1000, 20):
        added = ann.conversations.items.create(
            conversation.id, items=[{"role": "user", "content": str(n)} for n in range(start, start + 20)]
        )
        assert (added.first_id, added.last_id) == (added.data[0].id, added.data[-1].id)
        assert not added.has_more
        ids += [one.id for one in added.data if one.id]
    assert [one.id for one in ann.conversations.items.list(conversation.id)] == ids[::-1]
    assert [one.id for one in ann.conversations.items.list(conversation.id, order="asc", limit=100)] == ids
    listed = async_ann.conversations.items.list(
        conversation.id, order="asc", limit=37, include=["file_search_call.results"]
    )
    assert [one.id async for one in listed] == ids
    first = ann.conversations.items.list(conversation.id)
    assert len(first.data) == 20
    assert (first.has_more, first.last_id) == (True, ids[-20])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_there_is_more_exactly_if_there_is(ann: openai.OpenAI, order: str) -> None:
    conversation = ann.conversations.create(items=[{"role": "user", "content": str(n)} for n in range(6)])
    options = {"conversation_id": conversation.id, "order": order}
    for limit, expected in ((2, [2, 2, 2]), (3, [3, 3]), (4, [4, 2]), (6, [6]), (7, [6])):
        pages = ann.conversations.items.list(**options, limit=limit).iter_pages()  # type: ignore[arg-type]
        assert [len(page.data) for page in pages] == expected
    empty = ann.conversations.create(items=[])
    page = ann.conversations.items.list(empty.id)
    assert (page.data, page.has_more, page.last_id) == ([], False, "")


@pytest.mark.parametrize(
    "item",
    [
        {"role": "assistant", "content": "x"},
        {"type": "message", "role": "assistant", "content": "x", "status": "incomplete"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "y"}]},
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "system", "content": [{"type": "input_text", "text": " "}]},
    ],
    ids=str,
)
def test_an_item_is_answered_as_it_will_be_listed(ann: openai.OpenAI, item: Json) -> None:
    conversation = ann.conversations.create()
    (added,) = ann.conversations.items.create(conversation.id, items=[item]).data  # type: ignore[list-item]
    assert [plain(one) for one in ann.conversations.items.list(conversation.id)] == [plain(added)]
    again = {"x-stainless-retry-count": "1"}
    retried = ann.conversations.items.create(conversation.id, items=[item], extra_headers=again)  # type: ignore[list-item]
    assert retried.data == [added]


def test_an_item_is_deleted(ann: openai.OpenAI) -> None:
    conversation = ann.conversations.create(
        items=[{"role": "user", "content": str(n)} for n in range(3)], metadata={"a": "b"}
    )
    ids = [one.id for one in ann.conversations.items.list(conversation.id, order="asc")]
    assert ids[1]
    assert ann.conversations.items.delete(ids[1], conversation_id=conversation.id) == conversation
    assert [one.id for one in ann.conversations.items.list(conversation.id, order="asc")] == [ids[0], ids[2]]
    with pytest.raises(openai.NotFoundError):
        ann.conversations.items.retrieve(ids[1], conversation_id=conversation.id)
    with pytest.raises(openai.NotFoundError):
        ann.conversations.items.delete(ids[1], conversation_id=conversation.id)
    with pytest.raises(openai.BadRequestError) as openai_errors:
        ann.conversations.items.list(conversation.id, after=ids[1])
    assert openai_errors.value.param == "after"


def test_any_beginning_finds_the_item(ann: openai.OpenAI) -> None:
    conversation = ann.conversations.create()
    (added,) = ann.conversations.items.create(
        conversation.id, items=[{"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}]
    ).data
    assert added.id
    other = f"msg_{added.id.partition('_')[2]}"
    assert ann.conversations.items.retrieve(other, conversation_id=conversation.id) == added


async def test_the_same_by_the_asynchronous_client(async_ann: openai.AsyncOpenAI) -> None:
    conversation = await async_ann.conversations.create(metadata={"a": "b"})
    added = await async_ann.conversations.items.create(
        conversation.id, items=[{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]
    )
    last = added.data[-1]
    assert last.id
    assert await async_ann.conversations.items.retrieve(last.id, conversation_id=conversation.id) == last
    assert await async_ann.conversations.items.delete(last.id, conversation_id=conversation.id) == conversation
    listed = [one async for one in async_ann.conversations.items.list(conversation.id)]
    assert listed == added.data[:1]
    updated = await async_ann.conversations.update(conversation.id, metadata={})
    assert updated.metadata == {}
    assert (await async_ann.conversations.delete(conversation.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await async_ann.conversations.retrieve(conversation.id)
