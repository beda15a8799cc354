"""`client.chats`, `client.branches` and `client.turns`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatkeep import Chatkeep, Conflict, NotFound, PreconditionFailed, Unprocessable
from chatkeep.calls.chats import State
from tests.proxy import Proxy

EGGS: list[dict[str, Any]] = [
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "assistant", "content": "Eight minutes.", "model": "gpt-5", "tokens": 21},
]
KEYS = ["a/b", "..", "100%", "%2F", "ü?#&=+ ;", "key:key", "日本", 'quo"te\\']


def test_a_chat_is_created_read_changed_and_deleted(client: Chatkeep, user: str) -> None:
    expires_at = datetime.now(UTC) + timedelta(days=1)
    chat = client.chats.create(
        key="eggs", title="Eggs", tags=["kitchen"], metadata={"a": {"b": 1}}, expires_at=expires_at, conversation=EGGS
    )
    assert (chat.user_id, chat.key, chat.title, chat.message_count) == (user, "eggs", "Eggs", 2)
    assert chat.expires_at == expires_at
    assert chat.created_at.tzinfo is not None
    read = client.chats.get("key:eggs", include="conversation")
    assert read.chat_id == chat.chat_id
    assert [message.content for message in read.conversation or ()] == ["How do I boil an egg?", "Eight minutes."]
    assert client.chats.get(chat.chat_id).conversation is None

    changed = client.chats.patch(chat.chat_id, title=None, metadata={"a": {"b": None}, "c": True}, is_pinned=True)
    assert (changed.title, changed.metadata, changed.is_pinned, changed.tags) == (
        None,
        {"a": {}, "c": True},
        True,
        ["kitchen"],
    )
    replaced = client.chats.replace(chat.chat_id, summary="All anew.", conversation=EGGS[:1])
    assert (replaced.summary, replaced.tags, replaced.key, replaced.message_count) == ("All anew.", [], "eggs", 1)

    client.chats.delete(chat.chat_id)
    with pytest.raises(NotFound):
        client.chats.get(chat.chat_id)
    assert [chat.chat_id for chat in client.chats.list(state="deleted")] == [chat.chat_id]
    assert client.chats.restore(chat.chat_id).is_active
    client.chats.delete(chat.chat_id, hard=True)
    assert list(client.chats.list(state="all")) == []


def test_an_archived_chat_is_in_its_own_list(client: Chatkeep, tmp_path: Path) -> None:
    chat = client.chats.create(key="away", is_archived=True, conversation=EGGS)
    assert chat.is_archived
    assert chat.archived_at is not None
    assert list(client.chats.list()) == list(client.chats.list(state="active")) == []
    assert [one.archived_at for one in client.chats.list(state="archived")] == [chat.archived_at]
    states: list[tuple[State | None, bool]] = [(None, True), ("archived", True), ("active", False)]
    for state, there in states:
        file = client.export(state=state).to_file(tmp_path / f"{state}.jsonl")
        assert (chat.chat_id in file.read_text()) == there
    back = client.chats.patch("key:away", is_archived=False)
    assert (back.is_archived, back.archived_at) == (False, None)
    assert client.chats.replace("key:away", is_archived=True).is_archived


@pytest.mark.parametrize("key", KEYS)
def test_a_key_may_have_any_characters(client: Chatkeep, key: str) -> None:
    chat = client.chats.get_or_create(key)
    assert chat.key == key
    assert client.chats.get_or_create(key).chat_id == chat.chat_id
    assert client.chats.get(f"key:{key}").chat_id == chat.chat_id
    client.messages.append(f"key:{key}", EGGS)
    assert len(list(client.messages.list(f"key:{key}"))) == 2


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_would_lead_elsewhere_is_not_sent(client: Chatkeep, name: str) -> None:
    chat = client.chats.create(conversation=EGGS)
    with pytest.raises(ValueError, match="names nothing"):
        client.chats.delete(name)
    with pytest.raises(ValueError, match="names nothing"):
        client.messages.delete(chat.chat_id, name)
    assert client.chats.get(chat.chat_id).message_count == 2


def test_a_list_goes_through_its_pages_and_its_filters_hold_on_each(client: Chatkeep) -> None:
    for number in range(7):
        client.chats.create(title=str(number), tags=["all", f"odd-{number % 2}"], metadata={"n": number, "of": "é&="})
    assert [chat.title for chat in client.chats.list(limit=3)] == list("6543210")
    odd = client.chats.list(tag=["all", "odd-1"], metadata={"of": "é&="}, order="asc", order_by="created_at", limit=1)
    assert [chat.title for chat in odd] == ["1", "3", "5"]
    assert [chat.title for chat in client.chats.list(metadata={"n": 4})] == ["4"]
    assert list(client.chats.list(created_after=datetime.now(UTC) + timedelta(minutes=5))) == []

    page = client.chats.page(limit=3, include_total=True)
    assert ([chat.title for chat in page.items], page.total) == (["6", "5", "4"], 7)
    assert page.next_cursor is not None
    assert [chat.title for chat in client.chats.page(limit=3, cursor=page.next_cursor).items] == ["3", "2", "1"]


def test_only_what_was_seen_is_changed(client: Chatkeep) -> None:
    seen = client.chats.create(title="Eggs")
    assert seen.etag
    assert client.chats.get(seen.chat_id).etag == seen.etag
    client.messages.append(seen.chat_id, EGGS)
    for write in (client.chats.patch, client.chats.replace):
        with pytest.raises(PreconditionFailed):
            write(seen.chat_id, title="No", if_match=seen.etag)
    with pytest.raises(PreconditionFailed):
        client.chats.delete(seen.chat_id, if_match=seen.etag)
    now = client.chats.get(seen.chat_id).etag
    assert client.chats.patch(seen.chat_id, title="Yes", if_match=now).title == "Yes"


def test_what_is_wrong_is_raised_with_its_place(client: Chatkeep) -> None:
    client.chats.create(key="taken")
    with pytest.raises(Conflict) as conflict:
        client.chats.create(key="taken")
    assert (conflict.value.status, conflict.value.type, conflict.value.title) == (409, "conflict", "Conflict")
    with pytest.raises(Unprocessable, match=r"body\.tags\.0: ") as refused:
        client.chats.create(tags=[""])
    assert refused.value.problem["errors"][0]["loc"] == ["body", "tags", 0]
    assert refused.value.request_id


def test_branches_are_begun_listed_compared_and_copied(client: Chatkeep) -> None:
    chat = client.chats.create(title="Eggs", conversation=EGGS).chat_id
    other = client.messages.append(chat, {"role": "assistant", "content": "Ten."}, parent=1)
    assert other.siblings
    assert len(other.siblings) == 2
    [root] = client.messages.append(chat, [{"role": "user", "content": "How do I poach one?"}], parent=None)
    assert root.parent_id is None
    assert [branch.head_seq for branch in client.branches.list(chat, limit=1)] == [4, 3, 2]
    assert [branch.is_active for branch in client.branches.page(chat).items] == [True, False, False]

    diff = client.branches.diff(chat, a=2, b=other.message_id)
    assert (diff.shared.head_seq, diff.a.message_count) == (1, 1)
    assert [message.content for message in diff.b.items] == ["Ten."]
    assert client.chats.patch(chat, head=2).head_id == diff.a.head_id
    assert [message.seq for message in client.messages.list(chat)] == [1, 2]
    assert [message.seq for message in client.messages.list(chat, head=3)] == [1, 3]
    assert [message.seq for message in client.messages.list(chat, tree=True, limit=1)] == [1, 2, 3, 4]

    copy = client.chats.fork(chat, at=3, key="copy", tags=["copied"])
    assert (copy.forked_from, copy.title, copy.tags, copy.message_count) == (chat, "Eggs", ["copied"], 2)
    assert client.chats.fork(chat, title=None).title is None


def test_a_turn_is_its_holders(client: Chatkeep) -> None:
    chat = client.chats.create(conversation=EGGS[:1]).chat_id
    assert client.turns.get(chat).holder is None
    turn = client.turns.take(chat, holder="worker-1", seconds=30)
    assert client.turns.get(chat).holder == "worker-1"
    with pytest.raises(Conflict) as held:
        client.messages.append(chat, EGGS[1])
    assert held.value.problem["holder"] == "worker-1"
    with pytest.raises(Conflict):
        client.turns.take(chat)
    client.messages.append(chat, EGGS[1], turn=turn.token)
    popped = client.messages.pop(chat, turn=turn.token)
    assert popped
    assert popped.content == "Eight minutes."
    assert client.turns.renew(chat, turn.token, seconds=600).until > turn.until
    client.chats.replace(chat, conversation=EGGS, turn=turn.token)
    client.messages.clear(chat, turn=turn.token)
    client.turns.release(chat, turn.token)
    client.turns.release(chat, turn.token)
    assert client.turns.get(chat).until is None
    with pytest.raises(Conflict):
        client.turns.renew(chat, turn.token)


def test_pages_are_asked_for_as_they_are_needed(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        client.messages.append("key:c", [EGGS[0]] * 5)
        proxy.seen.clear()
        messages = client.messages.list("key:c", limit=2)
        assert proxy.seen == []
        read = [next(messages).seq for _ in range(2)]
        assert len(proxy.seen) == 1
        read += [message.seq for message in messages]
        assert len(proxy.seen) == 3
        assert read == [1, 2, 3, 4, 5]
