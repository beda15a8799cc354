"""Every format that is exported: what is said comes back, whatever it is, and nothing that is said breaks the file.

A new format enters by itself; what its files hold is read by their media type.
"""

import re
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.archive_formats import ExportFormat, exports
from app.exporting.compression import compress
from tests.archive_formats.exported_texts import texts
from tests.archive_formats.record_streams import HOSTILE, chat, message, stream, written
from tests.callers import Json
from tests.profiles import examples

FORMATS = list(exports().values())
every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
lossless = pytest.mark.parametrize("form", [one for one in FORMATS if one.lossless], ids=lambda form: form.name)
TOOL: Json = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}}


def said_in(form: ExportFormat, body: bytes) -> list[str]:
    """The texts of a file."""
    return texts(form.media_type, body)


def normal(text: str) -> str:
    """A text but for the kind of its line ends, which Markdown does not tell apart."""
    return re.sub("\r\n|\r", "\n", text)


def holds(found: list[str], text: str) -> bool:
    """Whether a text is among others, or in one of them."""
    return any(normal(text) in normal(one) for one in found)


def test_the_formats_that_there_are() -> None:
    assert exports().keys() >= {"json", "jsonl", "csv", "markdown", "html", "openai", "sharegpt"}
    for name, form in exports().items():
        assert name == form.name
        assert re.fullmatch("[a-z0-9-]+", name)
        assert re.fullmatch("[a-z0-9]+", form.extension)
        assert re.fullmatch(r"[a-z]+/[a-z0-9+.-]+(; [a-z-]+=[a-z0-9-]+)*", form.media_type)


@every_format
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool"])
def test_what_is_said_is_in_the_file(form: ExportFormat, text: str, role: str) -> None:
    for content in (text, [{"type": "text", "text": text}, {"type": "text", "text": "more"}]):
        one = message(1, role, content=content, tool_call_id="call_1")
        for many in (False, True):
            body = written(form, chat(title="T"), one, message(2, "assistant", content="last"), many=many)
            found = said_in(form, body)
            assert text == " " or holds(found, text)
            assert holds(found, "last")


@every_format
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_about_a_chat_or_a_message_breaks_the_file(form: ExportFormat, text: str) -> None:
    named = chat(key=text, title=text, summary=text, platform=text, tags=[text], metadata={text: text})
    messages = [
        message(1, "user", content="x", name=text, model=text, metadata={text: [text]}),
        message(2, "assistant", content=None, tool_calls=[{**TOOL, "id": text}]),
        message(3, "assistant", tool_calls=[{"id": "a", "function": {"name": text or "f", "arguments": text}}]),
        message(4, "tool", tool_call_id=text, content=text),
        message(5, "user", content=[{"type": "image_url", "image_url": {"url": text, "detail": text}}]),
        message(
            6,
            "user",
            content=[{"type": text, text: text}, {"type": "file", "file": {"file_id": "x", "filename": text}}],
        ),
        message(7, "user", type=text[:64], payload={text: [text]}),
        message(8, "assistant", content=[{"type": "tool_use", "id": "t", "name": text, "input": {text: text}}]),
        message(9, "user", content=[{"type": "tool_result", "tool_use_id": "t", "content": text}]),
        message(10, "user", content="the end"),
    ]
    for many in (False, True):
        assert holds(said_in(form, written(form, named, *messages, many=many)), "the end")


@every_format
def test_chats_without_messages_and_no_chats(form: ExportFormat) -> None:
    assert said_in(form, written(form, chat(), many=False)) is not None
    assert said_in(form, written(form)) is not None
    found = said_in(form, written(form, chat(1), chat(2), message(1, content="only"), chat(3)))
    assert [one for one in found if one == "only"]


@every_format
def test_tools_and_what_they_say_are_in_the_file(form: ExportFormat) -> None:
    messages = [
        message(1, content="How long?"),
        message(2, "assistant", content=None, tool_calls=[TOOL]),
        message(3, "tool", tool_call_id="call_1", content="started"),
        message(4, "assistant", content="Eight minutes."),
    ]
    found = said_in(form, written(form, chat(), *messages))
    for text in ("timer", "minutes", "started", "Eight minutes."):
        assert holds(found, text) or (form.name == "csv" and text == "minutes")


@every_format
def test_a_file_is_written_as_it_is_read(form: ExportFormat) -> None:
    read = 0

    def counted() -> Iterator[Json]:
        nonlocal read
        for record in stream(form, chat(), *(message(seq, content="x" * 1000) for seq in range(1, 5001))):
            read += 1
            yield record

    size, last = 0, 0
    for piece in compress(form.write(counted(), many=True), "identity"):
        size += len(piece)
        # Never much more in memory than a piece or two: what was read was written.
        assert (read - last) * 1000 < 3 * 256 * 1024
        last = read
    assert size > 5_000_000


# Of Unicode, all that is taken.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PARTS = st.lists(
    st.dictionaries(st.sampled_from(["type", "text", "source", "image_url", "id", "name"]) | TEXTS, VALUES)
)
KINDS = st.sampled_from(["text", "image", "image_url", "tool_use", "tool_result", "document", "file", "refusal"])
CONTENTS = (
    st.none()
    | TEXTS
    | PARTS
    | st.lists(st.builds(lambda kind, part: {**part, "type": kind}, KINDS, st.dictionaries(TEXTS, VALUES, max_size=3)))
)
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool"])
CALLS = st.lists(st.dictionaries(st.sampled_from(["id", "type", "function", "name", "arguments"]), VALUES), max_size=3)


@every_format
@examples(fast=10, all=80)
@given(said=st.lists(st.tuples(ROLES, CONTENTS, CALLS, TEXTS), max_size=4), title=TEXTS)
def test_no_content_breaks_a_file(
    form: ExportFormat, said: list[tuple[str, object, list[Json], str]], title: str
) -> None:
    messages = [
        message(seq, role, content=content, tool_calls=calls, name=name)
        for seq, (role, content, calls, name) in enumerate(said, 1)
    ]
    found = said_in(form, written(form, chat(title=title), *messages, message(5, content="the end")))
    assert holds(found, "the end")


@lossless
def test_lossless_formats_say_everything(form: ExportFormat) -> None:
    records = [
        chat(title="T", metadata={"a": 1.0}),
        message(1, content=None, tool_calls=[{"id": "1"}], payload={"a": None}, status="failed", edited_at="x"),
        message(2, content="x"),
        {"record": "revision", "seq": 1, "revision": 1, "role": "user", "type": "message", "content": None},
        {"record": "feedback", "seq": 1, "caller": "user:ann", "rating": -1},
        chat(1),
    ]
    body = written(form, *records)
    if form.name == "jsonl":
        lines = [orjson.loads(line) for line in body.splitlines()]
        assert lines == [{"record": "chatkeep", "version": 1}, *records, {"record": "end", "chats": 2, "messages": 2}]
    else:
        bare = [{name: value for name, value in one.items() if name != "record"} for one in records]
        whole = {
            "conversation": bare[0],
            "messages": bare[1:3],
            "revisions": bare[3:4],
            "feedback": bare[4:5],
        }
        assert orjson.loads(body) == [whole, {"conversation": bare[5], "messages": []}]
        assert orjson.loads(written(form, *records[:5], many=False)) == whole


READERS, LEARNERS = ("markdown", "html"), ("openai", "sharegpt")


@pytest.mark.parametrize(
    ("name", "shown"), [*((name, True) for name in READERS), *((name, False) for name in LEARNERS)]
)
def test_reasoning_is_shown_to_readers_and_not_to_be_learnt(name: str, shown: bool) -> None:
    content = [{"type": "reasoning", "text": "Eggs take a while."}, {"type": "text", "text": "Eight minutes."}]
    found = said_in(exports()[name], written(exports()[name], chat(), message(1, "assistant", content=content)))
    assert holds(found, "Eight minutes.")
    assert holds(found, "Eggs take a while.") == shown


@every_format
def test_a_message_that_holds_results_is_told_whole(form: ExportFormat) -> None:
    content = [
        {"type": "text", "text": "I will tell you."},
        {"type": "tool_result", "tool_use_id": "call_1", "content": "It rang."},
        {"type": "text", "text": "It is done."},
    ]
    body = written(form, chat(), message(1, "assistant", content=content, tool_calls=[TOOL]))
    for text in ("I will tell you.", "It is done."):
        assert holds(said_in(form, body), text)
    assert form.name == "csv" or holds(said_in(form, body), "It rang.")
    if form.name in READERS:
        assert body.index(b"timer") < body.index(b"It rang") < body.index(b"It is done"), "calls before their results"
