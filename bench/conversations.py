"""Files of conversations, read into the messages that the service takes.

Three shapes, told apart record by record:

- ShareGPT: `{"id": …, "conversations": [{"from": "human", "value": "…"}]}`
- messages: `{"messages": [{"message": "…"}]}` (KdConv, which names no roles: the two speakers alternate), or with
  `{"role": …, "content": …}` as chat APIs write them
- turns: `{"question": [[{"role": "user", "content": "…"}], …]}` (Berkeley Function-Calling Leaderboard)

A file is a JSON array of records, an object whose members are records, one record, or JSON Lines. Content is kept as it
is; a field of a message that the service has no name for goes into its `metadata`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
    "function_response": "tool",
    "observation": "tool",
}
_FIELDS = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "model", "metadata"})


class NoConversations(Exception):
    """A file has no record of a known shape."""


@dataclass(frozen=True)
class Conversation:
    """One chat: its name within its file, and its messages as `POST /chats/{chat}/messages` takes them."""

    name: str
    messages: list[Json]


def read(path: Path) -> list[Conversation]:
    """The conversations of one file, in its order. Raises NoConversations."""
    text = path.read_text(encoding="utf-8-sig")
    found = [
        Conversation(str(record.get("id") or record.get("name") or name), messages)
        for name, record in _records(text)
        if (messages := list(_messages(record)))
    ]
    if not found:
        raise NoConversations(f"{path}: no conversation in a shape that is known")
    return found


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Each file as it is named, and the `.json` and `.jsonl` files in each folder."""
    for path in paths:
        if path.is_dir():
            yield from sorted(inside for inside in path.rglob("*") if inside.suffix in {".json", ".jsonl"})
        else:
            yield path


def _records(text: str) -> Iterator[tuple[str, Json]]:
    """Each record with its name: its key in an object of records, or else its number."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = [_line(line) for line in text.split("\n") if line.strip()]
    if isinstance(whole, dict) and not _messages_key(whole):
        named: Iterable[tuple[Any, Any]] = whole.items()
    else:
        named = enumerate(whole if isinstance(whole, list) else [whole])
    yield from ((str(name), record) for name, record in named if isinstance(record, dict))


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise NoConversations(f"neither JSON nor JSON Lines: {error}") from None


def _messages_key(record: Json) -> str | None:
    return next((key for key in ("conversations", "messages", "question") if isinstance(record.get(key), list)), None)


def _messages(record: Json) -> Iterator[Json]:
    match _messages_key(record):
        case "conversations":
            for item in record["conversations"]:
                yield _message(item["from"], item["value"], item, {"from", "value"})
        case "messages":
            for number, item in enumerate(record["messages"]):
                if "message" in item:
                    yield _message("assistant" if number % 2 else "user", item["message"], item, {"message"})
                else:
                    yield _message(item["role"], item.get("content"), item, {"content"})
        case "question":
            for number, turn in enumerate(record["question"], start=1):
                for item in turn:
                    yield _message(item["role"], item["content"], {**item, "turn": number}, set())


def _message(role: str, content: Any, item: Json, taken: set[str]) -> Json:
    """The message; a role that is not known becomes a user of that name."""
    message: Json = {"role": ROLES.get(role.lower(), "user"), "content": content}
    if role.lower() not in ROLES:
        message["name"] = role
    message |= {key: item[key] for key in sorted(_FIELDS - message.keys() - taken) if item.get(key) is not None}
    if rest := {key: value for key, value in item.items() if key not in _FIELDS | taken}:
        message["metadata"] = {**message.get("metadata", {}), **rest}
    return message
