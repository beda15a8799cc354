"""What lint finds, and that nothing is left to find after a repair."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.context.providers import PROVIDER_FORMATS
from app.context.repair import lint, repair
from tests.callers import Json
from tests.context.checkers import CHECKERS
from tests.context.histories import Generator
from tests.context.test_context import check, context, histories
from tests.context.test_window import chat
from tests.profiles import count, examples

BLANK: Json = {"role": "user", "content": " "}
NO_ID: Json = {"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}


def repaired(messages: list[Json]) -> list[Json]:
    """The messages as a repair leaves them."""
    found = {one["seq"]: dict(one) for one in messages}
    for one in repair(messages)[1]:
        found[one.seq] |= one.changes
    return list(found.values())


@pytest.mark.parametrize(
    ("messages", "findings"),
    [
        (chat("s", "u", "c12", "r2", "r1", "a"), []),
        (chat("u", "u", "a", "a"), []),
        (chat("u", "c1"), [("orphaned_tool_call", 2)]),
        (chat("u", "c12", "r1"), [("orphaned_tool_call", 2)]),
        (chat("u", "c11", "r1"), [("orphaned_tool_call", 2)]),
        (chat("u", "r1", "a"), [("orphaned_tool_result", 2)]),
        (chat("u", "c1", "r1", "r1"), [("orphaned_tool_result", 4)]),
        (chat("u", "c1", "u", "r1"), [("orphaned_tool_call", 2), ("misplaced_tool_result", 4)]),
        (chat("u", "c1", BLANK, "r1"), [("empty_content", 3)]),
        (chat("u", "c1", "r1", "c1", "r1"), [("duplicate_call_id", 4)]),
        (chat("u", "c11", "r1", "r1"), [("duplicate_call_id", 2)]),
        (chat("u", NO_ID), [("malformed_tool_call", 2)]),
        (chat("s", {"role": "system", "content": ""}, "u"), [("empty_content", 2)]),
        (chat("a", "u"), [("before_first_user", 1)]),
        (chat("s", "c1", "r1", "u"), [("before_first_user", 2), ("before_first_user", 3)]),
        (chat("u", "c1", {"role": "tool", "content": "x"}), [("orphaned_tool_call", 2), ("orphaned_tool_result", 3)]),
        (chat("u", {**BLANK, "status": "in_progress"}, {**BLANK, "type": "mine"}), []),
        ([], []),
    ],
)
def test_findings(messages: list[Json], findings: list[tuple[str, int]]) -> None:
    found = lint(messages)
    assert [(one.rule, one.seq) for one in found] == findings
    assert [one.message_id for one in found] == [str(seq) for _, seq in findings]
    assert lint(repaired(messages)) == []


@pytest.mark.parametrize(
    ("messages", "seq", "changes"),
    [
        (chat("u", "c12", "r1"), 2, {"tool_calls": chat("c1")[0]["tool_calls"]}),
        (chat("u", "c1"), 2, {"tool_calls": None, "type": "empty"}),
        (chat("u", "r1"), 2, {"type": "orphaned_tool_result"}),
        (chat("u", BLANK), 2, {"type": "empty"}),
        (chat("a", "u"), 1, {"type": "preamble"}),
        (
            chat("u", {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}]}),
            2,
            {"type": "orphaned_tool_result"},
        ),
        (
            chat("u", {"role": "assistant", "content": [{"type": "text", "text": "x"}, {"type": "tool_use", "id": 1}]}),
            2,
            {"content": [{"type": "text", "text": "x"}]},
        ),
    ],
)
def test_edits(messages: list[Json], seq: int, changes: Json) -> None:
    assert [(one.seq, one.changes) for one in repair(messages)[1]] == [(seq, changes)]


def test_an_id_used_twice_is_changed_on_both_sides() -> None:
    block: Json = {"type": "tool_result", "tool_use_id": "1", "content": "x"}
    use: Json = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    messages = chat(
        "u", "c1", "r1", "c1", "r1", {"role": "assistant", "content": [use]}, {"role": "user", "content": [block]}
    )
    mended = repaired(messages)
    assert mended[1:3] == messages[1:3]
    ids = [mended[3]["tool_calls"][0]["id"], mended[5]["content"][0]["id"]]
    assert len({"1", *ids}) == 3
    assert [mended[4]["tool_call_id"], mended[6]["content"][0]["tool_use_id"]] == ids


def test_results_answer_calls_of_one_id_in_their_order() -> None:
    blocks = [{"type": "tool_result", "tool_use_id": "1", "content": text} for text in ("first", "second")]
    messages = chat("u", "c11", {"role": "user", "content": blocks})
    sent = PROVIDER_FORMATS["responses"](context(messages))["input"]
    assert [item["output"] for item in sent[-2:]] == ["first", "second"]
    assert PROVIDER_FORMATS["responses"](context(repaired(messages)))["input"][-1]["output"] == "second"


def said(messages: list[Json]) -> list[Any]:
    """What is sent of a history, but for the call ids, which a repair may change."""
    found = PROVIDER_FORMATS["anthropic"](context(messages))
    for message in found["messages"]:
        for block in message["content"]:
            block.pop("id", None)
            block.pop("tool_use_id", None)
    return [found]


def test_after_a_repair_there_is_nothing_to_find(seed: int) -> None:
    for messages, _ in histories(seed):
        mended = repaired(messages)
        assert lint(mended) == [], messages
        assert repair(mended) == ([], [])
        assert said(mended) == said(messages), "a repair changes nothing of what is sent"
        for old, new in zip(messages, mended, strict=True):
            assert (old["seq"], old["role"], old.get("status")) == (new["seq"], new["role"], new.get("status"))


def test_a_sound_history_has_no_findings_and_is_sent_whole(seed: int) -> None:
    for number in range(seed, seed + count(fast=60, all=480)):
        messages = Generator(number, plain=True).sound()
        assert lint(messages) == []
        found = context(messages)
        spoken = [one["seq"] for one in messages if one["role"] not in {"system", "developer"}]
        assert found.seqs == spoken
        assert not found.truncated


def test_what_lint_passes_can_be_sent_as_it_is(seed: int) -> None:
    passed, tried = 0, count(fast=300, all=2400)
    for number in range(seed, seed + tried):
        messages = Generator(number, plain=True).broken()
        usual = [one for one in messages if one["type"] == "message" and one.get("status") != "in_progress"]
        if number % 2:
            usual = [one for one in repaired(usual) if one["type"] == "message"]
        elif lint(usual):
            continue
        passed += 1
        raw = list(map(as_sent, in_a_row(usual)))
        try:
            CHECKERS["chat_completions"]({"messages": raw})
        except AssertionError:
            print(raw)
            raise
    assert passed > tried // 2


def in_a_row(messages: list[Json]) -> list[Json]:
    """The messages, instructions first, where those of an assistant between a call and its results are one.

    They are sent so: instructions stand before the conversation, and never between a call and its result.
    """
    found: list[Json] = []
    for message in sorted(messages, key=lambda one: one["role"] not in {"system", "developer"}):
        if (
            message["role"] == "assistant"
            and found
            and found[-1]["role"] == "assistant"
            and found[-1].get("tool_calls")
        ):
            last = found.pop()
            content = " ".join(filter(None, (last.get("content"), message.get("content"))))
            calls = last["tool_calls"] + (message.get("tool_calls") or [])
            message = {**message, "content": content, "tool_calls": calls}
        found.append(message)
    return found


def as_sent(message: Json) -> Json:
    """A stored message as Chat Completions takes it."""
    found: Json = {name: message[name] for name in ("role", "content", "tool_calls", "tool_call_id") if name in message}
    found["role"] = found["role"].replace("system", "developer")
    found["content"] = (found.get("content") or "").strip() or ("" if found["role"] == "tool" else None)
    if found["role"] != "tool":
        found.pop("tool_call_id", None)
    if not found.get("tool_calls") or found["role"] != "assistant":
        found.pop("tool_calls", None)
    return found


WORDS = (
    "id call_id type function custom name arguments input text image_url url detail file_id input_audio data format "
    "file file_data file_url filename source media_type title tool_use_id content is_error refusal tool_use "
    "tool_result document image input_text output_text input_image input_file base64"
)
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=3)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
VALUES = st.sampled_from([*WORDS.split(), "call", "{}", "data:image/png;base64,AAAA"]) | JSON
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool"])},
    optional={
        "content": st.none() | st.text(max_size=5) | st.lists(OBJECTS, max_size=3),
        "tool_calls": st.lists(OBJECTS, max_size=3),
        "tool_call_id": st.sampled_from(["call", "id"]) | st.text(max_size=5),
        "name": st.text(max_size=5),
        "type": st.sampled_from(["message", "message", "mine"]),
        "status": st.sampled_from(["in_progress", "incomplete", "failed"]),
    },
)


@examples(fast=30, all=240)
@given(messages=st.lists(MESSAGES, max_size=8), max_tokens=st.none() | st.integers(0, 100))
def test_nothing_that_can_be_stored_makes_it_fail(messages: list[Json], max_tokens: int | None) -> None:
    stored = [{"type": "message", **one, "message_id": str(n), "seq": n} for n, one in enumerate(messages, 1)]
    check(context(stored) if max_tokens is None else context(stored, max_tokens=max_tokens))
    mended = repaired(stored)
    assert lint(mended) == []
    orjson.dumps(mended)
    check(context(mended))
