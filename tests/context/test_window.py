"""Which part of a chat a context takes: the newest whole turns that fit."""

from typing import Any

import pytest

from app.context import tokens, window
from app.context.providers import PROVIDER_FORMATS
from tests.callers import Json
from tests.context.histories import Generator
from tests.context.test_context import context
from tests.profiles import count


def chat(*messages: str | Json) -> list[Json]:
    """A chat of messages that have ten tokens each: `u`, `a`, `s`, `d` for texts of a role, `c1` and `r1` for a call
    and its result."""
    roles = {"u": "user", "a": "assistant", "s": "system", "d": "developer"}
    found = []
    for seq, one in enumerate(messages, 1):
        message: Json
        if isinstance(one, dict):
            message = one
        elif one[0] == "c":
            calls = [{"id": i, "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in one[1:]]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        elif one[0] == "r":
            message = {"role": "tool", "tool_call_id": one[1:], "content": "result"}
        else:
            message = {"role": roles[one], "content": f"{one}{seq}"}
        found.append({"message_id": str(seq), "seq": seq, "type": "message", "tokens": 10, **message})
    return found


def roles(messages: list[Json], summary: str | None = None, **limits: int) -> str:
    """What a context holds, by the first letters of the roles."""
    found = PROVIDER_FORMATS["chat_completions"](context(messages, summary, **limits))
    return "".join(message["role"][0] for message in found["messages"])


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (0, ""),
        (9, ""),
        (10, "s"),
        (20, "su"),
        (29, "su"),
        (30, "sua"),
        (49, "sua"),
        (50, "suaua"),
        (79, "suaua"),
        (90, "suatauaua"),
        (1000, "suatauaua"),
    ],
)
def test_whole_turns_from_the_newest_back(max_tokens: int, expected: str) -> None:
    messages = chat("s", "u", "c1", "r1", "a", "u", "a", "u", "a")
    assert roles(messages, max_tokens=max_tokens) == expected
    found = context(messages, max_tokens=max_tokens)
    assert found.tokens == 10 * len(expected)
    assert found.truncated == (max_tokens < 90)


@pytest.mark.parametrize(("max_turns", "expected"), [(1, "ua"), (2, "uata" + "ua"), (3, "uauataua"), (9, "uauataua")])
def test_turns(max_turns: int, expected: str) -> None:
    messages = chat("u", "a", "u", "c1", "r1", "a", "u", "a")
    assert roles(messages, max_turns=max_turns) == expected
    assert context(messages, max_turns=max_turns).truncated == (max_turns < 3)


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (0, ""),
        (10, "u"),
        (20, "ua"),
        (30, "ua"),
        (39, "ua"),
        (40, "uata"),
        (60, "uatata"),
        (70, "uatata"),
        (80, "uauatata"),
    ],
)
def test_the_newest_turn_is_shortened_rather_than_left_out(max_tokens: int, expected: str) -> None:
    messages = chat("u", "a", "u", "c1", "r1", "c2", "r2", "a")
    assert roles(messages, max_tokens=max_tokens) == expected
    found = context(messages, max_tokens=max_tokens)
    assert found.truncated == (max_tokens < 80)
    assert found.seqs[:1] in ([], [1], [3])


def test_a_call_and_its_results_are_one() -> None:
    messages = chat("u", "c12", "r2", "r1")
    assert [roles(messages, max_tokens=size) for size in (10, 39, 40)] == ["u", "u", "uatt"]


def test_nothing_comes_before_the_first_user() -> None:
    assert roles(chat("a", "c1", "r1", "a")) == ""
    found = context(chat("a", "u", "a"))
    assert found.seqs == [2, 3]
    assert not found.truncated


@pytest.mark.parametrize("summary", [None, "", " \n", "They met."])
def test_instructions_then_the_summary(summary: str | None) -> None:
    messages = chat("u", "s", "a", "u", "s", "a")
    found = PROVIDER_FORMATS["chat_completions"](context(messages, summary))["messages"]
    said = [message["content"] for message in found]
    summed = [window.SUMMARY + "They met."] if summary == "They met." else []
    assert said == ["s2", "s5", *summed, "u1", "a3", "u4", "a6"]


def test_instructions_as_far_as_they_fit() -> None:
    messages = chat("s", {"role": "system", "content": "long", "tokens": 50}, "s", "u")
    assert roles(messages, max_tokens=30) == "ssu"
    assert roles(messages, max_tokens=20) == "ss"
    assert context(messages, max_tokens=30).truncated
    assert roles(chat("s", "u"), "They met.", max_tokens=20) == "su"


def test_models_that_know_developers_get_no_system_messages() -> None:
    found = PROVIDER_FORMATS["chat_completions"](context(chat("s", "d", "u"), "They met."))
    assert [message["role"] for message in found["messages"]] == ["developer"] * 3 + ["user"]
    found = PROVIDER_FORMATS["responses"](context(chat("s", "d", "u"), "They met."))
    assert [item["role"] for item in found["input"]] == ["developer"] * 3 + ["user"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": "in_progress"}, "uu"),
        ({"status": "incomplete"}, "uau"),
        ({"status": "failed"}, "uau"),
        ({"status": "completed"}, "uau"),
        ({"type": "reasoning"}, "uu"),
        ({"content": " "}, "uu"),
        ({"tokens": 0}, "uau"),
    ],
)
def test_what_is_passed_over(change: Json, expected: str) -> None:
    messages = chat("u", "a", "u")
    messages[1] |= change
    assert roles(messages) == expected


def test_a_result_that_is_being_written_is_not_there_yet() -> None:
    messages = chat("u", "c1", "r1")
    messages[2]["status"] = "in_progress"
    assert roles(messages) == "u"


def test_messages_and_reading_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_MESSAGES", 6)
    assert roles(chat("s", "u", "a", "u", "a", "u", "a")) == "suaua"
    assert roles(chat("u", "a", "a", "a", "a", "a", "a", "a")) == "uaaaaa"
    monkeypatch.setattr(window, "MAX_READ", 3)
    found = context(chat("u", "a", "u", "a"))
    assert (found.seqs, found.truncated) == ([3, 4], True)
    assert context(chat("u", "a", "a", "a")).groups == []
    assert not context(chat("u", "a", "a")).truncated


def test_reading_stops_when_nothing_more_can_be_taken() -> None:
    found = window.ContextWindow(window.Limits(max_turns=1))
    found.add(reversed(chat("u", "a")))
    assert found.full
    assert not found.is_final, "whether there is more is not known yet"
    found.add(chat("u"))
    assert found.is_final


@pytest.mark.parametrize("number", range(count(fast=25, all=160)))
def test_more_room_never_holds_less(number: int, seed: int) -> None:
    messages = [one for one in Generator(seed + number).broken() if one["role"] not in {"system", "developer"}]
    whole = context(messages)
    before = 0
    for max_tokens in range(min(whole.tokens, 400) + 1):
        found = context(messages, max_tokens=max_tokens)
        assert before <= found.tokens
        assert set(found.seqs) <= set(whole.seqs)
        before = found.tokens
        turns = [group for group in found.groups if group.is_user]
        if len(turns) > 1:
            assert found.groups == whole_groups(whole.groups, found.groups), "older turns are whole"


def whole_groups(groups: list[Any], like: list[Any]) -> list[Any]:
    """As many of the newest groups; replaced by those of `like`, which stand for the same messages."""
    end = groups[len(groups) - len(like) :]
    assert [group.seqs for group in end] == [group.seqs for group in like]
    return like


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"tokens": 7, "input_tokens": 100, "output_tokens": 3}, 7),
        ({"input_tokens": 100, "output_tokens": 5}, 5),
        ({"role": "user", "input_tokens": 100, "output_tokens": 5}, 100),
        ({"tokens": 0}, 0),
        ({}, tokens.PER_MESSAGE + 2),
        ({"role": "user", "name": "Ann"}, tokens.PER_MESSAGE + 2 + 1 + 1),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}]}, 3 + 85),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}, 3 + 1600),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}]}, 4),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}, 3 + 1600),
        ({"content": "<|endoftext|>"}, 3 + 7),
    ],
)
def test_tokens_of_a_message(message: Json, expected: int) -> None:
    one: Json = {"message_id": "1", "seq": 2, "role": "assistant", "content": "Hello world", **message}
    user: Json = {"message_id": "0", "seq": 1, "role": "user", "content": "u", "tokens": 0}
    found = context([user, one])
    assert found.tokens == expected
    assert context([user, one], max_tokens=expected).tokens == expected
    assert context([user, one], max_tokens=expected - 1).tokens < expected if expected else True


def test_calls_and_results_count_too() -> None:
    messages = chat("u", "c1", "r1")
    for message in messages[1:]:
        del message["tokens"]
    alone = tokens.PER_MESSAGE + tokens.PER_CALL + tokens.count("f", 9) + tokens.count("{}", 9)
    assert context(messages).tokens == 10 + alone + tokens.PER_MESSAGE + tokens.count("result", 9)


def test_counting_stops_where_it_is_too_much() -> None:
    text = "The quick brown fox. " * 100_000
    assert tokens.count(text, 10**9) == pytest.approx(500_000, rel=0.01)
    assert tokens.count(text, 499) == 500
    assert tokens.count(text, 0) == 1
    assert tokens.count("", 0) == 0
    whole = tokens.count("a b" * 12_000, 10**9)
    assert tokens.count("a b" * 12_000, whole) == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße aus Köln, 12.345,67 €", 13),
        ("你好，世界。今天天气很好。", 9),
        ("नमस्ते दुनिया", 5),
        ("def f(x):\n\t\treturn  x\r\n\r\n", 9),
        ("👩\u200d👩\u200d👧 👍🏽", 11),
        ("A" * 1000, 125),
        ("don't CAN'T 1234567", 7),
        ("<|endoftext|><|endofprompt|>", 13),
        ("\u00a0\u2028 \x00\x7f", 5),
    ],
)
def test_counts_are_those_of_o200k(text: str, expected: int) -> None:
    # As tiktoken 0.14 counts them: len(encode_ordinary(text)).
    assert tokens.count(text, 10**9) == expected
