"""Generated histories with tool calls: as agents write them, in the codecs of several APIs, and broken."""

import random
from typing import Any
from uuid import UUID

from tests.callers import Json

TEXTS = [
    "Hi",
    "How do I boil an egg?",
    "Eight minutes.",
    "你好，世界",
    "👩‍👩‍👧 🥚",
    "مرحبا",
    "a\n",
    "ok  ",
    "<|endoftext|>",
    "e\u0301",
]
BLANK = ["", " ", "\n\t", "\u3000"]
NAMES = ["get_weather", "search", "mcp.files/read file", "工具", "f" * 80]
IDS = [
    "call_0",
    "call_1",
    "0",
    "toolu_01",
    "chatcmpl-tool-9f",
    "functions.get:0",
    "fc_" + "0" * 50,
    "i" * 300,
    "调用",
    "a|b",
]
ARGUMENTS = [
    "{}",
    '{"city": "Oslo"}',
    "",
    "{",
    "[1, 2]",
    "null",
    '"x"',
    '{"a": NaN}',
    "[" * 300 + "]" * 300,
    '{"a": 1e999}',
]
PNG = "data:image/png;base64,iVBORw0KGgo="
MEDIA: list[Json] = [
    {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
    {"type": "image_url", "image_url": {"url": "https://example.com/egg.png"}},
    {"type": "image_url", "image_url": {"url": "ftp://example.com/egg.png", "detail": "huge"}},
    {"type": "input_image", "image_url": "https://example.com/egg.png", "detail": "auto"},
    {"type": "input_image", "file_id": "file-1"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "iVBORw0KGgo="}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR", "detail": "huge"}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iV=OR"}},
    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "ogg"}},
    {"type": "file", "file": {"file_id": "file-1"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "egg.pdf"}},
    {"type": "input_file", "file_url": "https://example.com/egg.pdf"},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "An egg."}},
    {"type": "document", "title": "Eggs", "source": {"type": "url", "url": "https://example.com/egg.pdf"}},
]
NONSENSE: list[Any] = [
    {},
    {"type": "text"},
    {"type": "text", "text": 5},
    {"type": "text", "text": ""},
    {"type": "image_url", "image_url": None},
    {"type": "image_url", "image_url": {"url": 1}},
    {"type": "input_audio", "input_audio": "x"},
    {"type": "file", "file": []},
    {"type": "image", "source": "x"},
    {"type": ["text"]},
    {"type": "reasoning", "summary": []},
    {"type": "tool_use", "id": 7, "name": "f", "input": {}},
    {"type": "tool_use"},
    {"type": "tool_result"},
    {"type": "tool_result", "tool_use_id": 1, "content": 5},
]
BROKEN_CALLS: list[Any] = [
    {},
    {"id": 1, "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "", "function": {"name": "f"}},
    {"id": "x", "function": "f"},
    {"id": "x", "function": {"name": None, "arguments": "{}"}},
    {"id": "x", "function": {"name": ""}},
    {"type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": ["x"], "name": {"a": 1}},
    {"id": "x", "type": "custom", "custom": None},
]


class Generator:
    """Makes histories, the same for the same seed. Messages are as the API gives them.

    Attributes:
        plain: only what Chat Completions takes as it is: no other API's parts, ids and names.
    """

    def __init__(self, seed: int, *, plain: bool = False) -> None:
        self.random = random.Random(seed)
        self.plain = plain
        self._calls = 0

    def sound(self) -> list[Json]:
        """A history that nothing is wrong with."""
        messages: list[Json] = []
        if self.random.random() < 0.5:
            messages.append({"role": self.random.choice(["system", "developer"]), "content": self.text()})
        for _ in range(self.random.randrange(5)):
            messages += self.turn()
        return self.stored(messages)

    def broken(self) -> list[Json]:
        """A history that was damaged in up to six ways."""
        messages = [message for _ in range(self.random.randrange(1, 5)) for message in self.turn()]
        for _ in range(self.random.randrange(7)):
            messages = self.damaged(messages)
        return self.stored(messages)

    def stored(self, messages: list[Json]) -> list[Json]:
        """Messages with what the service adds; most have tokens of their own, so that few are many."""
        found = []
        seq = 0
        for message in messages:
            seq += self.random.choice([1, 1, 1, 2])
            one: Json = {"type": "message", **message, "seq": seq}
            one["message_id"] = str(UUID(int=self.random.getrandbits(128)))
            if self.random.random() < 0.7 or (not self.plain and isinstance(message.get("content"), list)):
                one["tokens"] = self.random.randrange(7)
            elif self.random.random() < 0.3:
                one |= {"input_tokens": 40, "output_tokens": self.random.randrange(5)}
            found.append(one)
        return found

    def turn(self) -> list[Json]:
        """The user, tools called none to three times, and an answer, if there is one yet."""
        messages: list[Json] = [self.user()]
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 3])):
            messages += self.round()
        if self.random.random() < 0.85:
            messages.append({"role": "assistant", "content": self.text()})
        return messages

    def user(self) -> Json:
        """A message of the user."""
        message: Json = {"role": "user", "content": self.content()}
        if not self.plain and self.random.random() < 0.1:
            message["name"] = self.random.choice(["Ann", "Ann Müller", "李雷", "x" * 200])
        return message

    def round(self) -> list[Json]:
        """Up to three calls and their results, in any order, in the way of one API or another."""
        ids = [self.call_id() for _ in range(self.random.choice([1, 1, 2, 3]))]
        says = self.random.choice([None, "", self.text()])
        if not self.plain and self.random.random() < 0.2:
            uses = [{"type": "tool_use", "id": one, "name": "f", "input": {"x": 1}} for one in ids]
            results: list[Json] = [{"type": "tool_result", "tool_use_id": one, "content": self.text()} for one in ids]
            self.random.shuffle(results)
            if self.random.random() < 0.3:
                results.append({"type": "text", "text": self.text()})
            said: list[Json] = [{"type": "text", "text": says}] if says else []
            return [{"role": "assistant", "content": said + uses}, {"role": "user", "content": results}]
        calls = [self.call(one) for one in ids]
        self.random.shuffle(ids)
        answers = [{"role": "tool", "tool_call_id": one, "content": self.result()} for one in ids]
        return [{"role": "assistant", "content": says, "tool_calls": calls}, *answers]

    def call(self, call_id: str) -> Json:
        """A tool call."""
        function: Json = {"name": "f", "arguments": "{}"}
        if self.plain:
            return {"id": call_id, "type": "function", "function": function}
        function = {"name": self.random.choice(NAMES), "arguments": self.random.choice([*ARGUMENTS, {"a": 1}])}
        return self.random.choice(
            [
                {"id": call_id, "type": "function", "function": function},
                {"id": call_id, "type": "function", "function": function},
                {"id": call_id, **function},
                {"call_id": call_id, "type": "function_call", **function},
                {"id": call_id, "type": "custom", "custom": {"name": function["name"], "input": "x"}},
            ]
        )

    def call_id(self) -> str:
        """A new call id or, now and then, one that was used before or that some provider would not take."""
        self._calls += 1
        strange = not self.plain and self.random.random() < 0.3
        return (
            self.random.choice(IDS) + ("" if self.random.random() < 0.2 else f"-{self._calls}")
            if strange
            else (f"call-{self._calls}")
        )

    def text(self) -> str:
        """A text."""
        return self.random.choice(TEXTS)

    def result(self) -> Any:
        """What a tool gave: a text, nothing, or parts."""
        return self.random.choice(["", self.text(), self.text(), self.content()])

    def content(self) -> Any:
        """A text, or parts."""
        if self.plain or self.random.random() < 0.7:
            return self.text()
        kinds = ["text", "input_text", "output_text"]
        parts: list[Any] = [{"type": self.random.choice(kinds), "text": self.text()}]
        parts += self.random.choices([*MEDIA, *NONSENSE], k=self.random.randrange(3))
        self.random.shuffle(parts)
        return parts

    def damaged(self, messages: list[Json]) -> list[Json]:
        """The messages with one more thing wrong, or unusual."""
        at = self.random.randrange(len(messages) + 1)
        kind = self.random.choice(["lose", "lose", "repeat", "swap", "insert", "insert", "change", "change"])
        if kind == "insert" or at == len(messages):
            return [*messages[:at], self.stranger(), *messages[at:]]
        if kind == "lose":
            return messages[:at] + messages[at + 1 :]
        if kind == "repeat":
            return messages[:at] + messages[at : at + self.random.choice([1, 2, 3])] + messages[at:]
        if kind == "swap":
            return [*messages[:at], *messages[at + 1 : at + 2], messages[at], *messages[at + 2 :]]
        return [*messages[:at], messages[at] | self.change(messages[at]), *messages[at + 1 :]]

    def stranger(self) -> Json:
        """A message that does not belong where it is put."""
        return self.one_of(
            [
                {"role": "system", "content": self.random.choice([*TEXTS, *BLANK])},
                {"role": "developer", "content": self.content()},
                {"role": "user", "content": self.random.choice([*BLANK, self.text(), []])},
                {"role": "user", "content": None, "tool_calls": [self.call("x")]},
                {"role": "assistant", "content": self.random.choice([*BLANK, self.text(), []])},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                {"role": "assistant", "tool_calls": [self.call("call_0"), self.call("call_0")]},
                {"role": "assistant", "tool_calls": [self.random.choice(BROKEN_CALLS)]},
                {"role": "assistant", "content": [self.random.choice(NONSENSE)]},
                {"role": "tool", "content": self.text()},
                {"role": "tool", "content": self.result(), "tool_call_id": self.random.choice(["call_0", "call-1"])},
                {"role": "assistant", "type": "reasoning", "content": [{"type": "reasoning"}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0"}]},
            ]
        )

    def change(self, message: Json) -> Json:
        """What to change of a message."""
        calls = message.get("tool_calls") or []
        return self.one_of(
            [
                {"content": self.random.choice(BLANK)},
                {"content": None},
                {"status": self.random.choice(["in_progress", "incomplete", "failed", "completed"])},
                {"type": "reasoning"},
                {"tool_calls": calls[1:]},
                {"tool_calls": [*calls, self.random.choice(BROKEN_CALLS)]},
                {"tool_calls": [*calls, self.call("call-1")]},
                {"tool_calls": [] if self.plain else self.unnamed(calls)},
                {"tool_call_id": self.random.choice(["call-1", "call-2", ""])},
                {"content": [self.random.choice(NONSENSE), self.random.choice([*NONSENSE, *MEDIA])]},
            ]
        )

    def unnamed(self, calls: list[Json]) -> list[Json]:
        """Broken calls with the ids of others."""
        return [self.random.choice(BROKEN_CALLS) | {"id": call.get("id", "x")} for call in calls]

    def one_of(self, choices: list[Json]) -> Json:
        """One of these messages, or parts of messages; a plain one where that is asked for."""
        return self.random.choice(
            [one for one in choices if not self.plain or not isinstance(one.get("content"), list)]
        )
