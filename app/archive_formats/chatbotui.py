"""Chatbot UI's export (the versions before its database): chats in `history`, or a bare list of them (version 1).

The shapes are those of its `types/export.ts`. A chat's `prompt` is what its model was told first, so it becomes a
system message; the folder that it is in stands in its metadata by name.
"""

from collections.abc import Iterator

from app.archive_formats import foreign_chat
from app.archive_formats.json_scanner import Broken, Span
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import Damage, Found, Item, Source, check_whole, decoded


class ChatbotUI:
    """See ImportFormat."""

    name = "chatbotui"
    native = False

    def recognise(self, source: Source) -> bool:
        names = source.names()
        in_history = names.get("history") == b"[" and "folders" in names
        return in_history or (names.get("messages") == b"[" and {"id", "name"} <= names.keys())

    def check(self, source: Source) -> None:
        check_whole(source)

    def read(self, source: Source) -> Iterator[Found | Damage]:
        try:
            for item in source.items():
                try:
                    members = dict(source.members(item.span)) if source.opening(item.span) == b"{" else {}
                    history = members.get(b'"history"')
                    if history is None:
                        chats, folders = iter([item]), {}
                    else:
                        chats, folders = _chats(source, history), _folders(source, members.get(b'"folders"'))
                except Damaged as error:
                    yield Damage(item.place, str(error))
                    continue
                for one in chats:
                    try:
                        raw = source.raw(one.span)
                        yield from list(self._chat(one.place, foreign_chat.object_of(decoded(raw)), raw, folders))
                    except Damaged as error:
                        yield Damage(one.place, str(error))
        except Broken as error:
            yield Damage(source.name, str(error))

    def _chat(self, place: str, item: Record, raw: bytes, folders: dict[str, str]) -> Iterator[Found]:
        model = item.get("model")
        model = foreign_chat.short(model.get("id") if isinstance(model, dict) else model)
        messages = [
            _message(foreign_chat.object_of(one, "a message"), model)
            for one in foreign_chat.list_of(item.get("messages"), "messages")
        ]
        prompt = item.get("prompt")
        if isinstance(prompt, str) and prompt:
            messages.insert(0, {"role": "system", "content": prompt})
        folder = item.get("folderId")
        unnamed = {**item, "folder": folders.get(str(folder)) if folder is not None else None}
        details = {
            "title": foreign_chat.title(item.get("name")),
            "platform": "chatbotui",
            **foreign_chat.rest(self.name, unnamed, "id", "name", "messages", "prompt", "folderId"),
        }
        nodes = foreign_chat.in_a_row(messages)
        yield from foreign_chat.chat(self.name, place, item.get("id"), raw, details, nodes, None)


def _chats(source: Source, history: Span) -> Iterator[Item]:
    if history.opening != b"[":
        raise Damaged("history: no list")
    for number, span in enumerate(source.elements(history), 1):
        yield Item(source.place(span.line, number), span)


def _folders(source: Source, span: Span | None) -> dict[str, str]:
    given = source.value(span) if span is not None else []
    found = (one for one in given if isinstance(one, dict)) if isinstance(given, list) else ()
    return {str(one.get("id")): one["name"] for one in found if isinstance(one.get("name"), str)}


def _message(message: Record, model: str | None) -> Record:
    role = foreign_chat.role(message.get("role"))
    content = foreign_chat.content(message.get("content"))
    return {
        **role,
        "content": "" if content is None else content,
        "model": model if role["role"] == "assistant" else None,
        **foreign_chat.rest(
            "chatbotui", message, "role", "content", *(("type",) if message.get("type") == "text" else ())
        ),
    }


IMPORT = ChatbotUI()
