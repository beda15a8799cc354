"""A chat and a conversation are one: what is written on one side is read on the other."""

import httpx2
import openai
import pytest

from tests.callers import Json, ok
from tests.openai_api.clients import plain


def conversation_of(chat: Json) -> str:
    """The id of the conversation that a chat is."""
    return f"conv_{chat['chat_id'].replace('-', '')}"


CALLS: list[Json] = [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": '{"x": 1}'}},
    {"id": "call_3", "type": "custom", "custom": {"name": "h", "input": "y"}},
]
NATIVE: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi!"},
    {"role": "assistant", "content": "Let me see.", "tool_calls": CALLS, "model": "gpt-5"},
    {"role": "tool", "tool_call_id": "call_1", "content": "one"},
    {"role": "assistant", "type": "note", "content": "nothing that an item could say"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ],
    },
    {"role": "assistant", "content": "Bye."},
]


def told(item: Json) -> str:
    """An item in short."""
    match item["type"]:
        case "message":
            return "+".join(part.get("text", part["type"]) for part in item["content"])
        case "function_call_output":
            return f"{item['call_id']}: {item['output']}"
    return f"{item['name']}({item.get('arguments', item.get('input'))})"


TOLD = [
    "Be brief.",
    "Hi!",
    "Let me see.",
    "f({})",
    'g({"x": 1})',
    "h(y)",
    "call_1: one",
    "And+input_image",
    "Bye.",
]


@pytest.fixture
def chat(native: httpx2.Client) -> Json:
    """A chat that was written natively."""
    made: Json = ok(native.post("/chats", json={"conversation": NATIVE}))
    return made


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_a_chat_is_listed_as_items(ann: openai.OpenAI, chat: Json, limit: int) -> None:
    for order, expected in (("asc", TOLD), ("desc", TOLD[::-1])):
        pages = [*ann.conversations.items.list(conversation_of(chat), order=order, limit=limit).iter_pages()]  # type: ignore[arg-type]
        assert [told(plain(one)) for page in pages for one in page.data] == expected
        assert [len(page.data) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]


def test_what_the_assistant_said_natively_is_as_openai_would_answer_it(ann: openai.OpenAI, chat: Json) -> None:
    bye, asked, *_ = ann.conversations.items.list(conversation_of(chat)).data
    assert plain(bye) == {
        "id": bye.id,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Bye.", "annotations": [], "logprobs": []}],
    }
    assert plain(asked)["content"][0] == {"type": "input_text", "text": "And"}


def test_each_item_of_a_message_has_an_id_of_its_own(ann: openai.OpenAI, chat: Json) -> None:
    listed = [*ann.conversations.items.list(conversation_of(chat), order="asc")]
    assert len({one.id for one in listed}) == len(TOLD)
    endings = [one.id.partition("_")[2][32:] for one in listed if one.id]
    assert endings == ["", "", "", "_1", "_2", "_3", "", "", ""]
    for one in listed:
        assert one.id
        assert ann.conversations.items.retrieve(one.id, conversation_id=conversation_of(chat)) == one
    for wrong in ("_4", "_99999", "_0", "_01", "_"):
        with pytest.raises(openai.NotFoundError):
            ann.conversations.items.retrieve(f"{listed[2].id}{wrong}", conversation_id=conversation_of(chat))


def test_an_item_is_deleted_and_the_others_of_its_message_stay(
    ann: openai.OpenAI, native: httpx2.Client, chat: Json
) -> None:
    conversation, left = conversation_of(chat), list(TOLD)
    for text in ('g({"x": 1})', "Let me see.", "h(y)", "And+input_image", "f({})", "Bye."):
        items = [*ann.conversations.items.list(conversation, order="asc")]
        at = left.index(text)
        found = items[at].id
        assert found
        ann.conversations.items.delete(found, conversation_id=conversation)
        del left[at]
        assert [told(plain(one)) for one in ann.conversations.items.list(conversation, order="asc")] == left
    seqs = [one["seq"] for one in ok(native.get(f"/chats/{chat['chat_id']}/messages"))["items"]]
    assert seqs == [1, 2, 4, 5]


def test_a_session_pops_item_by_item(ann: openai.OpenAI, chat: Json) -> None:
    popped = []
    while items := ann.conversations.items.list(conversation_of(chat), limit=1).data:
        assert items[0].id
        ann.conversations.items.delete(items[0].id, conversation_id=conversation_of(chat))
        popped.append(told(plain(items[0])))
    assert popped == TOLD[::-1]


def test_items_are_messages(ann: openai.OpenAI, native: httpx2.Client) -> None:
    made = ann.conversations.create(items=[{"role": "user", "content": "Hi!"}], metadata={"topic": "eggs"})
    added = ann.conversations.items.create(
        made.id,
        items=[
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]},  # type: ignore[list-item, misc]
            {"type": "function_call", "id": "fc_7", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "eggs"},
            },
        ],
    )
    (chat,) = ok(native.get("/chats"))["items"]
    assert conversation_of(chat) == made.id
    assert chat["metadata"] == {"topic": "eggs"}
    messages = ok(native.get(f"/chats/{chat['chat_id']}/messages"))["items"]
    assert [(one["seq"], one["role"], one["type"]) for one in messages] == [
        (1, "user", "message"),
        (2, "assistant", "message"),
        (3, "assistant", "message"),
        (4, "tool", "message"),
        (5, "assistant", "web_search_call"),
    ]
    assert [one.get("content") for one in messages[:2]] == ["Hi!", "Hello."]
    assert messages[2]["tool_calls"] == [CALLS[0] | {"id": "1"}]
    assert (messages[3]["tool_call_id"], messages[3]["content"]) == ("1", "x")
    assert [one["message_id"].replace("-", "") for one in messages[1:]] == [
        one.id.partition("_")[2] for one in added.data if one.id
    ]
    # In their own format they are what they came as, with the ids they had.
    given = ok(native.get(f"/chats/{chat['chat_id']}/messages", params={"format": "responses"}))["items"]
    assert [one.get("id") for one in given] == [None, None, "fc_7", None, "ws_1"]
    assert ok(native.get("/search", params={"q": "hello"}))["items"][0]["chat_id"] == chat["chat_id"]


def test_the_active_branch_is_what_is_listed(ann: openai.OpenAI, native: httpx2.Client) -> None:
    made = ann.conversations.create(items=[{"role": "user", "content": text} for text in "abc"])
    (chat,) = ok(native.get("/chats"))["items"]
    path = f"/chats/{chat['chat_id']}"
    ok(native.post(f"{path}/messages", json={"role": "user", "content": "d", "parent": 1}))
    ann.conversations.items.create(made.id, items=[{"role": "user", "content": "e"}])

    def listed() -> list[str]:
        return [told(plain(one)) for one in ann.conversations.items.list(made.id, order="asc", limit=2)]

    assert listed() == ["a", "d", "e"]
    ok(native.patch(path, json={"head": 3}))
    assert listed() == ["a", "b", "c"]
    # What follows the head begins a branch.
    ok(native.patch(path, json={"head": 2}))
    (added,) = ann.conversations.items.create(made.id, items=[{"role": "user", "content": "f"}]).data
    assert listed() == ["a", "b", "f"]
    again = {"x-stainless-retry-count": "1"}
    retried = ann.conversations.items.create(made.id, items=[{"role": "user", "content": "f"}], extra_headers=again)
    assert retried.data == [added]
    with_key = {"Idempotency-Key": "k"}
    ok(native.patch(path, json={"head": 1}))
    first = ann.conversations.items.create(made.id, items=[{"role": "user", "content": "g"}], extra_headers=with_key)
    second = ann.conversations.items.create(made.id, items=[{"role": "user", "content": "g"}], extra_headers=with_key)
    assert first == second
    assert listed() == ["a", "g"]


def test_an_item_whose_message_is_in_progress_is_so_too(ann: openai.OpenAI, native: httpx2.Client) -> None:
    chat = ok(native.post("/chats", json={}))
    path = f"/chats/{chat['chat_id']}/messages"
    message = ok(native.post(path, json={"role": "assistant", "content": "Eight", "status": "in_progress"}))
    (item,) = ann.conversations.items.list(conversation_of(chat)).data
    assert item.status == "in_progress"  # type: ignore[union-attr]
    assert item.id
    ok(native.post(f"{path}/{message['message_id']}/complete", json={"content": "Eight minutes."}))
    (item,) = ann.conversations.items.list(conversation_of(chat)).data
    assert item.status == "completed"  # type: ignore[union-attr]
