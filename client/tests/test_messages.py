"""`client.messages`, `client.revisions`, `client.feedback`, and the context for a model."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chatkeep import Chatkeep, Conflict, NotFound, PreconditionFailed, Unprocessable

CALL = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}}
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "started"},
    {
        "role": "assistant",
        "content": [{"type": "text", "text": "Eight minutes. 🥚"}],
        "metadata": {"a": [1, 2.5, None]},
    },
]


def test_what_is_appended_comes_back(client: Chatkeep) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
    first = client.messages.append("key:new", HISTORY[0] | {"created_at": at})
    assert (first.seq, first.content, first.created_at) == (1, "How do I boil an egg?", at)
    rest = client.messages.append("key:new", HISTORY[1:])
    assert [message.seq for message in rest] == [2, 3, 4]
    stored = list(client.messages.list("key:new"))
    for message, sent in zip(stored, HISTORY, strict=True):
        assert message.model_dump(include=set(sent)) == sent
    # What is null is told from what is not there.
    assert "content" in stored[1].model_fields_set
    assert "metadata" not in stored[1].model_fields_set
    assert client.messages.get("key:new", 4) == client.messages.get(stored[0].chat_id, stored[3].message_id)


def test_windows_of_a_chat(client: Chatkeep) -> None:
    client.messages.append("key:c", [{"role": "user", "content": str(number)} for number in range(1, 11)])

    def contents(**window: Any) -> list[Any]:
        return [message.content for message in client.messages.list("key:c", **window)]

    assert contents(limit=3) == [str(number) for number in range(1, 11)]
    assert contents(last=2) == ["9", "10"]
    assert contents(max_turns=3, limit=2) == ["8", "9", "10"]
    assert contents(order="desc", limit=4) == [str(number) for number in range(10, 0, -1)]
    assert contents(after_seq=2, before_seq=5, role="user") == ["3", "4"]
    assert contents(around_seq=5, limit=3) == ["4", "5", "6"]
    page = client.messages.page("key:c", limit=9)
    assert len(page.items) == 9
    assert client.messages.page("key:c", limit=9, cursor=page.next_cursor).next_cursor is None


def test_edits_deletions_and_revisions(client: Chatkeep) -> None:
    chat = client.chats.create(conversation=HISTORY[:1] * 3).chat_id
    edited = client.messages.edit(chat, 1, content="And two?", metadata={"by": "ann"})
    assert (edited.content, edited.metadata) == ("And two?", {"by": "ann"})
    assert edited.edited_at
    assert client.messages.edit(chat, 1, metadata={"by": None}).metadata == {}
    assert [revision.content for revision in client.revisions.list(chat, 1, limit=1)] == [
        "How do I boil an egg?",
        "And two?",
    ]
    assert [revision.revision for revision in client.revisions.page(chat, 1).items] == [1, 2]

    popped = client.messages.pop(chat)
    assert popped
    assert popped.seq == 3
    client.messages.delete(chat, 2)
    with pytest.raises(NotFound):
        client.messages.get(chat, 2)
    client.messages.clear(chat)
    assert list(client.messages.list(chat)) == []
    assert client.messages.pop(chat) is None


def test_keys(client: Chatkeep) -> None:
    said = HISTORY[0]
    first = client.messages.append("key:c", said, key="slack/1 ü")
    assert (first.key, client.messages.get("key:c", "key:slack/1 ü")) == ("slack/1 ü", first)
    with pytest.raises(Conflict) as conflict:
        client.messages.append("key:c", said, key="slack/1 ü")
    assert conflict.value.problem["message_id"] == first.message_id
    assert client.messages.append("key:c", {**said, "content": "x"}, key="slack/1 ü", on_conflict="skip") == first
    batch = [{**said, "key": "2"}, {**said, "content": "And a soft one?", "key": "slack/1 ü"}]
    second, replaced = client.messages.append("key:c", batch, on_conflict="replace")
    assert (second.seq, replaced.message_id, replaced.content) == (2, first.message_id, "And a soft one?")
    put = client.messages.put("key:c", "key:slack/1 ü", {"role": "user", "content": "And a hard one?"})
    assert (put.seq, put.content) == (1, "And a hard one?")
    branch = client.messages.put("key:c", "key:3", said, parent="key:slack/1 ü")
    assert (branch.seq, branch.parent_id) == (3, first.message_id)
    with pytest.raises(Conflict):
        client.messages.put("key:c", "key:3", said, parent=None)
    assert len(client.revisions.page("key:c", "key:slack/1 ü").items) == 2
    assert [message.key for message in client.messages.list("key:c", head="key:2")] == ["slack/1 ü", "2"]
    for several in ([said], said):
        with pytest.raises(ValueError, match="of one message"):
            client.messages.append("key:c", several, key="4", format=None if several != said else "responses")
    client.messages.delete("key:c", "key:3")
    assert client.messages.append("key:c", said, key="3").seq == 4


def test_feedback(client: Chatkeep) -> None:
    chat = client.chats.create(conversation=HISTORY[:1]).chat_id
    assert client.feedback.put(chat, 1, -1, reason="wrong", text="Soft ones, please.").rating == -1
    assert client.feedback.put(chat, 1, 1).reason is None
    assert [feedback.rating for feedback in client.feedback.list(chat, 1)] == [1]
    client.feedback.delete(chat, 1)
    client.feedback.delete(chat, 1)
    assert client.feedback.page(chat, 1).items == []


def test_messages_in_the_words_of_another_api(client: Chatkeep) -> None:
    item = {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": "{}"}
    message = client.messages.append("key:r", item, format="responses")
    assert message.tool_calls
    result = {"type": "function_call_output", "call_id": "call_1", "output": "started"}
    client.messages.append("key:r", [result], format="responses")
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks."}]}
    other = client.messages.append("key:r", asked, format="responses", parent=message.seq)
    assert other.parent_id == message.message_id
    assert list(client.messages.list("key:r", format="responses", limit=1)) == [item, asked]
    assert client.messages.page("key:r", format="chat_completions").items[-1]["role"] == "user"
    assert client.messages.pop("key:r", format="responses") == [asked]
    client.messages.clear("key:r")
    assert client.messages.pop("key:r", format="responses") is None
    with pytest.raises(Unprocessable):
        client.messages.append("key:r", item, format="no such")


def test_what_a_model_is_sent(client: Chatkeep) -> None:
    chat = client.chats.create(conversation=[*HISTORY, {"role": "assistant", "tool_calls": [CALL]}]).chat_id
    context = client.context(chat, max_tokens=8000, max_turns=5)
    assert context.messages
    assert (context.format, context.messages[0]["role"], context.truncated) == ("chat_completions", "user", False)
    assert client.context(chat, format="responses").input
    assert client.context(chat, format="anthropic").system is not None

    lint = client.lint(chat)
    assert not lint.ok
    mended = client.repair(chat)
    assert [finding.rule for finding in mended] == [finding.rule for finding in lint.items]
    assert client.lint(chat).ok


def test_what_json_cannot_say_is_not_sent(client: Chatkeep) -> None:
    for wrong in (float("nan"), float("inf"), "\ud800"):
        with pytest.raises(ValueError, match=r"\w"):
            client.messages.append("key:c", {"role": "user", "content": "x", "metadata": {"a": wrong}})
    with pytest.raises(TypeError, match="nothing that JSON can say"):
        client.messages.append("key:c", {"role": "user", "content": "x", "metadata": {"a": object()}})
    with pytest.raises(NotFound):
        client.chats.get("key:c")


def test_what_is_appended_follows_only_what_was_seen(client: Chatkeep) -> None:
    first = client.messages.append("key:s", {"role": "user", "content": "1"})
    page = client.messages.page("key:s")
    items = client.messages.page("key:s", format="responses")
    assert page.etag is not None
    assert page.etag == items.etag == client.chats.get("key:s").etag
    second = client.messages.append("key:s", {"role": "user", "content": "2"}, if_match=page.etag)
    for messages in ({"role": "user", "content": "3"}, [{"role": "user", "content": "3"}]):
        with pytest.raises(PreconditionFailed):
            client.messages.append("key:s", messages, parent=None, if_match=page.etag)
    assert [message.seq for message in client.messages.list("key:s")] == [first.seq, second.seq]
