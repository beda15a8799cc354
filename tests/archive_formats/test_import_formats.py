"""Files as other services export them, written here in their shapes: what is said, by whom, when, in which branch."""

import json
from typing import Any

import httpx2
import pytest

from tests.callers import Json, ok
from tests.http.reading import everything_reads
from tests.importing.files import chatgpt, imported, send, trees

pytestmark = pytest.mark.any_database

ID = "b123942f-ca1a-4b16-9e1f-ea4af5171168"


def turns(messages: list[Json]) -> list[tuple[str, Any]]:
    """Role and content of each message."""
    return [(message["role"], message["content"]) for message in messages]


def parents(messages: list[Json]) -> list[int | None]:
    """Which message each one follows, by seq."""
    seqs = {message["message_id"]: message["seq"] for message in messages}
    return [seqs.get(message["parent_id"]) for message in messages]


async def test_chatgpt(me: httpx2.AsyncClient) -> None:
    tree = {
        "s": (None, "system", ""),
        "a": ("s", "user", "hi"),
        "b": ("a", "assistant", "one"),
        "c": ("a", "assistant", "two"),
        "d": ("c", "user", "and?"),
        "e": ("a", "user", "late"),
    }
    chat = chatgpt("Branches", tree, "d", is_starred=True, is_archived=True, gizmo_id="g", conversation_id=ID)
    parts: list[Any] = ["look", {"content_type": "image_asset_pointer", "asset_pointer": "file://x", "width": 1}]
    chat["mapping"]["d"]["message"]["content"] = {"content_type": "multimodal_text", "parts": parts}
    chat["mapping"]["e"]["message"] |= {
        "author": {"role": "tool", "name": "python", "metadata": {}},
        "content": {"content_type": "execution_output", "text": "42"},
        "status": "in_progress",
        "recipient": "assistant",
    }
    report = await imported(me, [chat], keep_ids=True)
    assert (report["format"], report["errors"]) == ("chatgpt", [])
    ((found, messages),) = await trees(me)
    assert (found["chat_id"], found["title"], found["is_pinned"]) == (ID, "Branches", True)
    # When it was archived is not said: by its last change at the latest.
    assert found["archived_at"] == found["updated_at"]
    assert (found["created_at"], found["updated_at"]) == ("2024-01-07T12:18:35.250000Z", "2024-01-08T12:37:22.500000Z")
    assert found["metadata"] == {"chatgpt": {"gizmo_id": "g"}}
    image = {"type": "image_asset_pointer", "asset_pointer": "file://x", "width": 1}
    two = [{"type": "text", "text": "look"}, image]
    talk = [("user", "hi"), ("assistant", "one"), ("assistant", "two"), ("user", two), ("tool", "42")]
    assert turns(messages) == talk
    assert parents(messages) == [None, 1, 1, 3, 1]
    assert found["head_id"] == messages[3]["message_id"]
    assert messages[1]["model"] == "gpt-4"
    assert messages[0]["created_at"] == "2024-01-07T12:18:36.500000Z"
    assert (messages[4]["name"], messages[4]["status"]) == ("python", "incomplete")
    assert messages[4]["metadata"]["chatgpt"] == {"content_type": "execution_output", "recipient": "assistant"}
    await everything_reads(me)


def libre(number: str, parent: str | None, text: str, *, user: bool, **members: Any) -> Json:
    """A message as LibreChat exports it."""
    return {
        "messageId": number,
        "parentMessageId": parent,
        "createdAt": f"2024-05-28T18:08:5{number[-1]}.014Z",
        "isCreatedByUser": user,
        "sender": "User" if user else "GPT-4",
        "model": None if user else "gpt-4o",
        "text": text,
        "error": False,
        "unfinished": False,
        **members,
    }


@pytest.mark.parametrize("recursive", [True, False])
async def test_librechat(me: httpx2.AsyncClient, recursive: bool) -> None:
    none = "00000000-0000-0000-0000-000000000000"
    messages = [
        libre("m1", none, "q", user=True, tokenCount=9),
        libre("m2", "m1", "one", user=False, finish_reason="stop"),
        libre("m3", "m1", "two", user=False, unfinished=True),
        libre("m4", "m3", "", user=False, content=[{"type": "text", "text": {"value": "x"}}, {"type": "think"}]),
    ]
    if recursive:
        by_id = {one["messageId"]: one for one in messages}
        for one in messages[1:]:
            by_id[one["parentMessageId"]].setdefault("children", []).append(one)
        messages = messages[:1]
    file: Json = {
        "conversationId": ID,
        "endpoint": "openAI",
        "title": "T",
        "messages": messages,
        "options": {"model": "m"},
    }
    file["isArchived"] = recursive
    assert (await imported(me, file))["format"] == "librechat"
    ((chat, found),) = await trees(me)
    parts = [{"type": "text", "text": "x"}, {"type": "think"}]
    assert turns(found) == [("user", "q"), ("assistant", "one"), ("assistant", "two"), ("assistant", parts)]
    assert parents(found) == [None, 1, 1, 3]
    assert (chat["title"], chat["is_archived"]) == ("T", recursive)
    assert chat["metadata"]["librechat"] == {"endpoint": "openAI", "options": {"model": "m"}}
    assert (found[0]["tokens"], found[1]["model"], found[2]["status"]) == (9, "gpt-4o", "incomplete")
    assert found[1]["metadata"]["librechat"] == {"sender": "GPT-4", "finish_reason": "stop"}
    assert found[0]["created_at"] == "2024-05-28T18:08:51.014000Z"


async def test_a_long_thread_of_librechat_is_nested_deep(me: httpx2.AsyncClient) -> None:
    message = libre("m300", None, "last", user=True)
    for number in range(299, 0, -1):
        message = libre(f"m{number}", None, "x", user=True, children=[message])
    file = {"conversationId": "c", "title": "T", "messages": [message]}
    assert (await imported(me, file))["messages"]["imported"] == 300


@pytest.mark.parametrize("bare", [True, False])
async def test_openwebui(me: httpx2.AsyncClient, bare: bool) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    image = {"type": "image", "url": "data:image/png;base64,AA=="}
    messages: dict[str, Json] = {
        "a": {"id": "a", "parentId": None, "childrenIds": ["b", "c"], "role": "user", "content": "q", "files": [image]},
        "b": {"id": "b", "parentId": "a", "childrenIds": [], "role": "assistant", "content": "one", "model": "llama"},
        "c": {"id": "c", "parentId": "a", "childrenIds": [], "role": "assistant", "content": "two", "usage": usage},
    }
    for number, one in enumerate(messages.values()):
        one["timestamp"] = 1700000000 + number
    messages["c"] |= {"done": False, "statusHistory": [{"done": True}]}
    chat = {
        "title": "T",
        "models": ["llama"],
        "history": {"messages": messages, "currentId": "b"},
        "messages": [],
        "tags": ["x", {"name": "y"}],
        "timestamp": 1700000000123,
    }
    row = {
        "id": ID,
        "user_id": "u",
        "title": "Row",
        "chat": chat,
        "created_at": 1700000000,
        "updated_at": 1700000100,
        "pinned": True,
        "archived": True,
        "meta": {},
    }
    assert (await imported(me, [chat if bare else row]))["format"] == "openwebui"
    ((found, got),) = await trees(me)
    question = [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": image["url"]}}]
    assert turns(got) == [("user", question), ("assistant", "one"), ("assistant", "two")]
    assert parents(got) == [None, 1, 1]
    assert found["head_id"] == got[1]["message_id"]
    assert (got[1]["model"], got[2]["status"]) == ("llama", "incomplete")
    assert (got[2]["input_tokens"], got[2]["output_tokens"], got[2]["tokens"]) == (3, 4, 7)
    assert (found["title"], found["tags"], found["is_pinned"]) == ("T" if bare else "Row", ["x", "y"], not bare)
    assert found["created_at"] == ("2023-11-14T22:13:20.123000Z" if bare else "2023-11-14T22:13:20.000000Z")
    extra = found["metadata"]["openwebui"]
    assert extra == {"models": ["llama"]}
    assert found["archived_at"] == (None if bare else found["updated_at"])


@pytest.mark.parametrize("version", [1, 4])
async def test_chatbotui(me: httpx2.AsyncClient, version: int) -> None:
    talk = [{"role": "user", "type": "text", "content": "q"}, {"role": "assistant", "content": "a"}]
    chats: list[Json] = [
        {"id": 1, "name": "One", "messages": talk, "model": {"id": "gpt-4"}, "prompt": "Be.", "folderId": "f"},
        {"id": 2, "name": "Two", "messages": []},
    ]
    whole = {"version": 4, "history": chats, "folders": [{"id": "f", "name": "Folder", "type": "chat"}], "prompts": []}
    report = await imported(me, chats if version == 1 else whole)
    assert (report["format"], report["chats"]["imported"]) == ("chatbotui", 2)
    (chat, found), (other, nothing) = await trees(me)
    assert turns(found) == [("system", "Be."), ("user", "q"), ("assistant", "a")]
    assert (chat["title"], other["title"], nothing, found[2]["model"]) == ("One", "Two", [], "gpt-4")
    folder = {} if version == 1 else {"folder": "Folder"}
    assert chat["metadata"] == {"chatbotui": {"model": {"id": "gpt-4"}, **folder}}


async def test_a_line_of_chatbotui_that_has_no_chats_is_damaged_alone(me: httpx2.AsyncClient) -> None:
    chat = {"id": 1, "name": "One", "messages": []}
    histories: list[Any] = [[chat], {}, [{**chat, "id": 2}]]
    file = "\n".join(json.dumps({"history": history, "folders": []}) for history in histories)
    report = await imported(me, file)
    assert (report["format"], report["chats"]["imported"], report["chats"]["failed"]) == ("chatbotui", 2, 1)
    assert report["errors"] == [{"place": "file body, line 2", "reason": "history: no list"}]


@pytest.mark.parametrize("in_lines", [True, False])
async def test_sharegpt(me: httpx2.AsyncClient, in_lines: bool) -> None:
    talk = [
        {"from": "human", "value": "q"},
        {"from": "gpt", "value": "a", "weight": 1},
        {"from": "narrator", "value": "z"},
    ]
    chats = [{"id": "x_0", "conversations": talk, "system": "Be."}, {"conversations": talk[:1]}]
    file: Any = "\n".join(json.dumps(chat) for chat in chats) if in_lines else chats
    assert (await imported(me, file))["format"] == "sharegpt"
    (_, found), (_, other) = await trees(me)
    assert turns(found) == [("system", "Be."), ("user", "q"), ("assistant", "a"), ("user", "z")]
    assert found[3]["name"] == "narrator"
    assert found[2]["metadata"] == {"sharegpt": {"weight": 1}}
    assert turns(other) == [("user", "q")]
    assert (await imported(me, file))["chats"]["skipped"] == 2


async def test_openai(me: httpx2.AsyncClient) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk: list[Json] = [
        {"role": "system", "content": "Be."},
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "weight": 0},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    assert (await imported(me, talk))["format"] == "openai"
    file = "\n".join(json.dumps({"messages": talk[:number], "tools": [{"type": "function"}]}) for number in (2, 4))
    assert (await imported(me, file))["chats"]["imported"] == 2
    (chat, found), (_, two), (four, _) = await trees(me)
    asked = [("system", "Be."), ("user", [{"type": "text", "text": "q"}])]
    assert turns(found) == [*asked, ("assistant", None), ("tool", "42")]
    assert (found[2]["tool_calls"], found[3]["tool_call_id"]) == ([call], "c")
    assert chat["head_id"] == found[3]["message_id"]
    assert turns(two) == asked
    assert four["metadata"] == {"tools": [{"type": "function"}]}
    assert (await imported(me, talk))["chats"]["skipped"] == 1


@pytest.mark.parametrize("shape", ["seed", "flat", "trees"])
async def test_oasst(me: httpx2.AsyncClient, shape: str) -> None:
    names = ("user_message_id", "parent_message_id") if shape == "seed" else ("message_id", "parent_id")

    def message(name: str, parent: str | None, role: str, **members: Any) -> Json:
        return {names[0]: name, names[1]: parent, "text": f"text {name}", "role": role, "lang": "en", **members}

    one = [
        message("a", None, "prompter"),
        message("b", "a", "assistant", rank=1),
        message("c", "a", "assistant", rank=0),
        message("d", "c", "prompter"),
    ]
    two = [message("x", None, "prompter"), message("y", "x", "assistant")]
    file: Any = [*one, *two]
    if shape == "trees":
        one[0]["replies"], one[2]["replies"], two[0]["replies"] = one[1:3], one[3:], two[1:]
        pair = [{"message_tree_id": root["message_id"], "tree_state": "t", "prompt": root} for root in (one[0], two[0])]
        file = "\n".join(map(json.dumps, pair))
    report = await imported(me, file)
    assert (report["format"], report["chats"]["imported"], report["errors"]) == ("oasst", 2, [])
    (chat, found), (_, other) = await trees(me)
    assert [text for _, text in turns(found)] == ["text a", "text b", "text c", "text d"]
    assert parents(found) == [None, 1, 1, 3]
    assert chat["head_id"] == found[3]["message_id"]
    assert [role for role, _ in turns(other)] == ["user", "assistant"]
    assert (await imported(me, file))["chats"]["skipped"] == 2


async def test_a_format_may_be_named(me: httpx2.AsyncClient) -> None:
    chat = chatgpt("x", {"a": (None, "user", "hi")}, "a")
    assert (await imported(me, [chat], format="chatgpt"))["chats"]["imported"] == 1
    wrong = ok(await send(me, [chat], format="librechat"))
    assert (wrong["chats"]["failed"], wrong["errors"][0]["reason"]) == (1, "messages: no list")


async def test_messages_in_a_circle_are_damage(me: httpx2.AsyncClient) -> None:
    chat = chatgpt("x", {"a": (None, "user", "hi"), "b": ("a", "user", "ho")}, "b")
    chat["mapping"]["a"]["parent"] = "b"
    report = await imported(me, [chat])
    assert report["errors"][0]["reason"] == "messages follow each other in a circle"
