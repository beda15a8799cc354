"""Chats in which each call is a message of its own, as items of Responses are, and those with results beside calls."""

import random
from typing import Any

import pytest

from app.codecs import CODECS, decode_item
from app.codecs.canonical import canonical_message
from app.context.providers import PROVIDER_FORMATS
from app.context.repair import lint, repair
from tests.callers import Json
from tests.context.histories import Generator
from tests.context.test_context import check, context
from tests.context.test_lint import repaired
from tests.context.test_window import chat, roles
from tests.profiles import count

RESPONSES = CODECS["responses"]
REASONING: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
SEARCH: Json = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
THOUGHT: Json = {"role": "assistant", "content": [{"type": "reasoning", "text": "Eggs take eight minutes."}]}


def stored(items: list[Json]) -> list[Json]:
    """Items of Responses as the messages that they are stored as."""
    messages = [decode_item(RESPONSES, item)[0] for item in items]
    return [
        {"type": "message", **one, "seq": seq, "message_id": str(seq), "tokens": 1}
        for seq, one in enumerate(messages, 1)
    ]


def as_items(messages: list[Json], seed: int) -> list[Json]:
    """A history as items of Responses, with such between them as no message says."""
    chance = random.Random(seed)
    items: list[Json] = []
    for message in messages:
        if message["type"] == "message":
            for item in RESPONSES.encode(canonical_message(message)):
                items += chance.choices([REASONING, SEARCH], k=chance.choice([0, 0, 1]))
                items.append(item)
    return items


def sent(messages: list[Json]) -> Json:
    """What is sent of a history to Anthropic, where answers in a row are one."""
    found: Json = PROVIDER_FORMATS["anthropic"](context(messages))
    return found


def test_a_chat_of_items_is_sent_as_one_of_messages(seed: int) -> None:
    for number in range(seed, seed + count(fast=30, all=240)):
        messages = Generator(number, plain=True).sound()
        items = stored(as_items(messages, number))
        assert lint(items) == []
        check(context(items))
        assert sent(items) == sent(messages)


def test_no_provider_refuses_a_chat_of_items(seed: int) -> None:
    for number in range(seed, seed + count(fast=30, all=240)):
        items = stored(as_items(Generator(number).broken(), number))
        whole = context(items)
        for max_tokens in range(whole.tokens + 1):
            check(context(items, max_tokens=max_tokens))
        mended = repaired(items)
        assert lint(mended) == []
        assert repair(mended) == ([], [])
        check(context(mended))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (chat("u", "c1", "c2", "r1", "r2", "a"), "uatta"),
        (chat("u", "c1", "c2", "r2", "r1", "a"), "uatta"),
        (chat("u", "a", "c1", "c2", "c3", "r2", "r3", "r1"), "uaattt"),
        (chat("u", "c1", "a", "c2", "r1", "r2"), "uatt"),
        (chat("u", "c1", "a", "r1"), "uat"),
        (chat("u", "c1", "r1", "c2", "r2"), "uatat"),
        (chat("u", "c1", THOUGHT, "c2", "r1", THOUGHT, "r2"), "uatt"),
        (chat("u", "c1", {**THOUGHT, "type": "reasoning"}, "c2", "r1", "s", "r2"), "suatt"),
        (chat("u", THOUGHT), "u"),
    ],
)
def test_calls_in_a_row_and_their_results_are_one(messages: list[Json], expected: str) -> None:
    assert lint(messages) == []
    assert roles(messages) == expected
    check(context(messages))
    for max_tokens in range(10 * len(messages)):
        check(context(messages, max_tokens=max_tokens))


@pytest.mark.parametrize(
    ("messages", "findings", "expected"),
    [
        (chat("u", "c1", "c2", "r2"), [("orphaned_tool_call", 2)], "uat"),
        (chat("u", "c1", "c2", "r1", "u", "r2"), [("orphaned_tool_call", 3), ("misplaced_tool_result", 6)], "uatu"),
        (chat("u", "a", "a", "c1", "r1", "r2"), [("orphaned_tool_result", 6)], "uaaat"),
        (chat("u", "c1", "c1", "r1", "r1"), [("duplicate_call_id", 3)], "uatt"),
        (chat("c1", "c2", "r1", "r2", "u"), [("before_first_user", seq) for seq in (1, 2, 3, 4)], "u"),
    ],
)
def test_what_is_wrong_in_a_row(messages: list[Json], findings: list[tuple[str, int]], expected: str) -> None:
    assert [(one.rule, one.seq) for one in lint(messages)] == findings
    assert roles(messages) == expected
    assert lint(repaired(messages)) == []
    assert roles(repaired(messages)) == expected


def test_a_row_without_an_end_is_read_in_pieces() -> None:
    messages = chat("u", *["c1"] * 1000, "r2")
    assert [one.rule for one in lint(messages)] == ["orphaned_tool_call"] * 1000 + ["orphaned_tool_result"]
    assert roles(messages) == "u"
    assert roles(chat("u", *["a"] * 1000, "r2")) == "u" + "a" * 1000


def results(*call_ids: str) -> list[Json]:
    """Results as parts."""
    return [{"type": "tool_result", "tool_use_id": one, "content": f"of {one}"} for one in call_ids]


def calls(*call_ids: str) -> list[Json]:
    """Calls."""
    return [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in call_ids]


def text(text: str) -> Json:
    """A part."""
    return {"type": "text", "text": text}


def whole(content: list[Json], *call_ids: str) -> Json:
    """A message that holds what came of its calls."""
    return {"role": "assistant", "content": content, "tool_calls": calls(*call_ids)}


@pytest.mark.parametrize(
    ("messages", "findings", "expected"),
    [
        (chat("u", whole([text("a"), *results("1", "2"), text("b")], "1", "2")), [], "uatta"),
        (chat("u", whole([text("a"), *results("1"), text("b"), *results("2"), text("c")], "1", "2")), [], "uatata"),
        (chat("u", whole([text("a"), *results("1"), text("b")], "1", "2"), "r2", "a"), [], "uatata"),
        (chat("u", whole(results("1"), "1", "2"), "r2"), [], "uatat"),
        (chat("u", whole(results("1"), "1")), [], "uat"),
        (chat("u", whole([*results("1", "3"), text("b")], "1", "2")), ["call", "result"], "uata"),
        (chat("u", whole(results("3"))), ["result"], "u"),
        (chat("u", {"role": "tool", "content": results("1", "2")}), ["result", "result"], "u"),
        (chat("u", "c12", {"role": "tool", "content": results("2", "1")}), [], "uatt"),
        (chat("u", "c1", {"role": "tool", "content": results("2", "1")}), ["result"], "uat"),
    ],
)
def test_messages_that_hold_results(messages: list[Json], findings: list[str], expected: str) -> None:
    assert sorted(one.rule for one in lint(messages)) == [f"orphaned_tool_{one}" for one in findings]
    assert roles(messages) == expected
    check(context(messages))
    mended = repaired(messages)
    assert lint(mended) == []
    assert roles(mended) == expected
    for before, after in zip(messages, mended, strict=True):
        assert after["content"] or after["role"] == "assistant" or before == after, "what is shown stays"


def test_ids_used_twice_within_a_message_are_changed_on_both_sides() -> None:
    messages = chat("u", whole([*results("1"), text("a")], "1"), whole([*results("1"), text("b")], "1"))
    assert [(one.rule, one.seq) for one in lint(messages)] == [("duplicate_call_id", 3)]
    mended = repaired(messages)
    assert mended[:2] == messages[:2]
    call_id = mended[2]["tool_calls"][0]["id"]
    assert call_id != "1"
    assert mended[2]["content"][0]["tool_use_id"] == call_id
    assert lint(mended) == []


def test_reasoning_is_never_sent() -> None:
    thinking: list[Any] = [
        {"type": "reasoning", "text": "secret"},
        {"type": "thinking", "thinking": "secret", "signature": "x"},
        {"type": "reasoning_text", "text": "secret"},
    ]
    messages = chat(
        {"role": "system", "content": thinking},
        {"role": "user", "content": [*thinking, text("u")]},
        whole([*thinking, text("a"), *results("1"), *thinking], "1"),
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "2", "content": thinking}, *thinking]},
        {"role": "assistant", "content": thinking},
    )
    for shape in PROVIDER_FORMATS.values():
        assert "secret" not in str(shape(context(messages)))
