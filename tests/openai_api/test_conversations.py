"""Conversations by OpenAI's client: created, read, changed, deleted; what is too much is refused."""

import time

import httpx2
import openai
import pytest

from tests.callers import Json, ok


def test_a_conversation_is_created_read_and_deleted(ann: openai.OpenAI, native: httpx2.Client) -> None:
    began = int(time.time())
    made = ann.conversations.create(
        items=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"}], metadata={"a": "b"}
    )
    assert began <= made.created_at <= time.time()
    assert made.metadata == {"a": "b"}
    assert made.id.startswith("conv_")
    assert ann.conversations.retrieve(made.id) == made
    assert len(ann.conversations.items.list(made.id).data) == 2
    chat_id = made.id.removeprefix("conv_")
    assert [chat["chat_id"].replace("-", "") for chat in ok(native.get("/chats"))["items"]] == [chat_id]
    deleted = ann.conversations.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        ann.conversations.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        ann.conversations.delete(made.id)
    (chat,) = ok(native.get("/chats", params={"state": "deleted"}))["items"]
    ok(native.post(f"/chats/{chat['chat_id']}/restore"))
    assert ann.conversations.retrieve(made.id) == made


def test_a_conversation_may_begin_with_nothing(ann: openai.OpenAI, native: httpx2.Client) -> None:
    bodies: tuple[Json, ...] = ({}, {"items": []}, {"items": None, "metadata": None})
    for body in bodies:
        assert ann.conversations.create(extra_body=body).metadata == {}
    assert ok(native.post("/v1/conversations"))["metadata"] == {}


def test_metadata_is_replaced(ann: openai.OpenAI) -> None:
    made = ann.conversations.create(metadata={"a": "1", "b": "2"})
    assert ann.conversations.update(made.id, metadata={"b": "3", "c": ""}).metadata == {"b": "3", "c": ""}
    assert ann.conversations.retrieve(made.id).metadata == {"b": "3", "c": ""}
    assert ann.conversations.update(made.id, metadata=None).metadata == {}


def test_what_a_conversation_cannot_show_of_metadata_survives(ann: openai.OpenAI, native: httpx2.Client) -> None:
    hidden = {"number": 1, "long": "x" * 513, "y" * 65: "z", "deep": {"a": [None], "b": None}, "nothing": None}
    chat = ok(native.post("/chats", json={"metadata": {"a": "b", **hidden}}))
    conversation = f"conv_{chat['chat_id'].replace('-', '')}"
    assert ann.conversations.retrieve(conversation).metadata == {"a": "b"}
    assert ann.conversations.update(conversation, metadata={"c": "d"}).metadata == {"c": "d"}
    assert ok(native.get(f"/chats/{chat['chat_id']}"))["metadata"] == {**hidden, "c": "d"}
    assert ann.conversations.update(conversation, metadata={}).metadata == {}
    assert ok(native.get(f"/chats/{chat['chat_id']}"))["metadata"] == hidden
    many = {str(number): "x" for number in range(20)}
    ok(native.patch(f"/chats/{chat['chat_id']}", json={"metadata": many}))
    assert len(ann.conversations.retrieve(conversation).metadata) == 16  # type: ignore[arg-type]


def test_an_update_that_changes_nothing_is_none(ann: openai.OpenAI, native: httpx2.Client) -> None:
    made = ann.conversations.create(metadata={"a": "1"})
    before = ok(native.get("/chats"))["items"]
    assert ann.conversations.update(made.id, metadata={"a": "1"}) == made
    assert ok(native.get("/chats"))["items"] == before


ITEM: Json = {"role": "user", "content": "x"}


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": [ITEM] * 21}, "items"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"metadata": {"x" * 65: ""}}, f"metadata.{'x' * 65}.[key]"),
        ({"metadata": {"x": "y" * 513}}, "metadata.x"),
        ({"metadata": {"x": 1}}, "metadata.x"),
        ({"items": [ITEM, {}]}, "items[1].type"),
        ({"items": [ITEM, {"role": "robot", "content": "x"}]}, "items[1].role"),
        ({"items": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "items[0].call_id"),
        ({"items": [ITEM, {"type": "item_reference", "id": "msg_1"}]}, "items[1]"),
        ({"items": "x"}, "items"),
        ({"user_id": "bob"}, "user_id"),
    ],
)
def test_what_is_too_much_or_wrong_is_refused_whole(
    ann: openai.OpenAI, native: httpx2.Client, body: Json, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as openai_errors:
        ann.conversations.create(extra_body=body)
    assert openai_errors.value.type == "invalid_request_error"
    assert openai_errors.value.param == param
    assert ok(native.get("/chats"))["items"] == []
    made = ann.conversations.create()
    if "items" in body:
        with pytest.raises(openai.BadRequestError):
            ann.conversations.items.create(made.id, items=body["items"])
        with pytest.raises(openai.BadRequestError):
            ann.conversations.items.create(made.id, items=[])
        assert ann.conversations.items.list(made.id).data == []
