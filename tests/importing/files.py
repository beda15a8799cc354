"""What the tests of imports share: files made by hand in the shapes that others export, and sending them."""

import io
import json
import zipfile
from typing import Any

import httpx2

from tests.callers import Json, every_item, ok

BYTES = {"Content-Type": "application/octet-stream"}
MESSAGE_ID = "01932c07-209c-7000-8000-{:012x}"
CHAT_ID = "01932c07-1f3e-7000-8000-{:012x}"
AT = "2026-01-31T12:00:00.000000Z"


async def send(client: httpx2.AsyncClient, file: bytes | str | Any, **query: Any) -> httpx2.Response:
    """Imports a file: bytes, text, or a value that is written as JSON."""
    content = file if isinstance(file, bytes) else (file if isinstance(file, str) else json.dumps(file)).encode()
    params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    return await client.post("/import", params=params, content=content, headers=BYTES)


async def imported(client: httpx2.AsyncClient, file: bytes | str | Any, **query: Any) -> Json:
    """What an import that must succeed is answered."""
    report: Json = ok(await send(client, file, **query))
    return report


async def trees(client: httpx2.AsyncClient) -> list[tuple[Json, list[Json]]]:
    """Every chat that is not in the trash, by the time it was created, with all its messages."""
    chats = await every_item(client, "/chats", order_by="created_at", order="asc", state="all")
    in_use = [chat for chat in chats if chat["is_active"]]
    return [(chat, await every_item(client, f"/chats/{chat['chat_id']}/messages", tree=True)) for chat in in_use]


async def exported(client: httpx2.AsyncClient, form: str = "jsonl", **query: str) -> bytes:
    """Everything of the caller's, the trash too."""
    response = await client.get("/export", params={"format": form, "state": "all", **query})
    assert response.status_code == 200, response.text
    return response.content


def lines(*records: Json) -> bytes:
    """Records as a file of JSON Lines, with a header and an end that is right."""
    kinds = [record["record"] for record in records]
    header: Json = {"record": "chatkeep", "version": 1}
    end = {"record": "end", "chats": kinds.count("chat"), "messages": kinds.count("message")}
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in (header, *records, end))


def a_chat(number: int, *messages: str, **members: Any) -> list[Json]:
    """The records of a chat in a row."""
    count = len(messages)
    chat = {
        "record": "chat",
        "chat_id": CHAT_ID.format(number),
        "message_count": count,
        "last_seq": count,
        **({"head_seq": count} if count else {}),
        "version": 5,
        "created_at": AT,
        "updated_at": AT,
        "last_activity_at": AT,
        **members,
    }
    return [chat, *(a_message(number * 1000 + seq, seq, text) for seq, text in enumerate(messages, 1))]


def a_message(number: int, seq: int, text: Any, **members: Any) -> Json:
    """The record of a message that follows the one before it."""
    return {
        "record": "message",
        "message_id": MESSAGE_ID.format(number),
        "seq": seq,
        **({"parent_seq": seq - 1} if seq > 1 else {}),
        "role": "user",
        "type": "message",
        "content": text,
        "created_at": AT,
        **members,
    }


def zipped(**files: bytes) -> bytes:
    """A zip of files; `__` in a name is a slash, and `_json` its extension."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_json", ".json"), content)
    return buffer.getvalue()


def chatgpt(title: str, tree: dict[str, tuple[str | None, str, str]], head: str, **members: Any) -> Json:
    """A chat as ChatGPT exports it, from its messages by id: the one before, the role, the text."""
    mapping: Json = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    for number, (name, (parent, role, text)) in enumerate(tree.items()):
        mapping[name] = {
            "id": name,
            "parent": parent or "root",
            "children": [],
            "message": {
                "id": name,
                "author": {"role": role, "name": None, "metadata": {}},
                "create_time": 1704629915.5 + number,
                "update_time": None,
                "content": {"content_type": "text", "parts": [text]},
                "status": "finished_successfully",
                "end_turn": None,
                "weight": 1.0,
                "metadata": {"model_slug": "gpt-4"} if role == "assistant" else {},
                "recipient": "all",
            },
        }
    for name, node in mapping.items():
        if node["parent"]:
            mapping[node["parent"]]["children"].append(name)
    times = {"create_time": 1704629915.25, "update_time": 1704717442.5}
    return {"title": title, **times, "mapping": mapping, "current_node": head, "conversation_id": title, **members}
