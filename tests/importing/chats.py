"""Chats with everything in them that a chat can have."""

import httpx2

from tests.callers import Json, ok

HELLO: Json = {"role": "user", "content": "How do I boil an egg? 🥚"}
ANSWER: Json = {"role": "assistant", "content": "Eight minutes.", "model": "gpt-5", "tokens": 21}


async def a_bit_of_everything(client: httpx2.AsyncClient) -> None:
    """Makes chats with branches, edits, feedback, an answer that failed, nulls, some archived, some in the trash."""
    ok(await client.post("/chats", json={}))
    details = {
        "key": "a:key",
        "title": "Eier ¿cómo? 鸡蛋",
        "summary": "\u2028",
        "platform": "web",
        "tags": ["a", "b"],
        "is_pinned": True,
        "metadata": {"z": 1.5e300, "a": [None, True, -0.0, 2**53]},
        "expires_at": "2999-01-01T00:00:00Z",
    }
    chat = ok(await client.post("/chats", json={**details, "conversation": [HELLO, ANSWER, HELLO, ANSWER]}))
    path = f"/chats/{chat['chat_id']}"
    ok(await client.post(f"{path}/messages", json={**HELLO, "parent": 2, "metadata": {}}))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ok(await client.post(f"{path}/messages", json={"role": "assistant", "content": None, "tool_calls": [call]}))
    result = {"role": "tool", "tool_call_id": "c", "name": "f", "content": [{"type": "text", "text": "x"}]}
    ok(await client.post(f"{path}/messages", json={**result, "input_tokens": 3, "output_tokens": 4}))
    ok(await client.post(f"{path}/messages", json={**HELLO, "parent": None, "type": "x", "content": ""}))
    ok(await client.post(f"{path}/messages", json={**ANSWER, "created_at": "0001-01-01T00:00:00Z"}))
    ok(await client.post(f"{path}/messages", json={**ANSWER, "created_at": "9999-12-31T23:59:59.999999Z"}))
    ok(await client.delete(f"{path}/messages/9"))
    for content in ("Soft?", None):
        patch = {"content": content} | ({"tool_calls": [call]} if content is None else {})
        ok(await client.patch(f"{path}/messages/4", json=patch))
    ok(await client.patch(f"{path}/messages/3", json={"metadata": {"a": 1}}))
    ok(await client.put(f"{path}/messages/4/feedback", json={"rating": -1, "reason": "wrong", "text": "No."}))
    growing = ok(await client.post(f"{path}/messages", json={"role": "assistant", "status": "in_progress"}))
    ok(await client.post(f"{path}/messages/{growing['message_id']}/chunks", json={"offset": 0, "text": "So"}))
    ok(await client.post(f"{path}/messages/{growing['message_id']}/fail", json={"metadata": {"why": "x"}}))
    ok(await client.post(f"{path}/messages", json={**HELLO, "parent": 4, "key": "a/key 🥚"}))
    ok(await client.put(f"{path}/messages/key:another", json=ANSWER))
    ok(await client.patch(path, json={"head": 4}))
    fork = ok(await client.post(f"{path}/fork", json={"at": 2}))
    ok(await client.delete(f"/chats/{fork['chat_id']}"))
    emptied = ok(await client.post("/chats", json={"key": "emptied", "conversation": [HELLO]}))
    ok(await client.delete(f"/chats/{emptied['chat_id']}/messages"))
    ok(await client.post("/chats", json={"key": "away", "is_archived": True, "conversation": [HELLO]}))
    away = ok(await client.post("/chats", json={"is_archived": True, "conversation": [HELLO]}))
    ok(await client.delete(f"/chats/{away['chat_id']}"))
    gone = ok(await client.post("/chats", json={"key": "gone", "conversation": [HELLO, ANSWER]}))
    ok(await client.delete(f"/chats/{gone['chat_id']}"))
    rooted = ok(await client.post("/chats", json={"conversation": [HELLO]}))
    ok(await client.post(f"/chats/{rooted['chat_id']}/messages", json={**HELLO, "parent": None}))
    ok(await client.delete(f"/chats/{rooted['chat_id']}/messages/2"))
