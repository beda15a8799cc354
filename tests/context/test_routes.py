"""Context, lint and repair through the API."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.context import routes
from tests.callers import Json, acting, every_item, ok, problem
from tests.context.checkers import CHECKERS
from tests.context.histories import Generator
from tests.context.test_context import context
from tests.profiles import count
from tests.statements import statements

PATH = "/chats/key:c"
QUERIES: list[dict[str, Any]] = [{}, {"max_tokens": 10}, {"max_turns": 1}]
CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}}
EGGS: list[Json] = [
    {"role": "system", "content": "You cook.", "tokens": 5},
    {"role": "user", "content": "How do I boil an egg?", "tokens": 10},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "tokens": 10},
    {"role": "tool", "tool_call_id": "call_1", "content": "started", "tokens": 10},
    {"role": "assistant", "content": "Eight minutes. ", "tokens": 10},
]
BROKEN: list[Json] = [
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "Boil an egg."},
    {"role": "assistant", "content": "On it.", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_2", "content": "started"},
    {"role": "user", "content": "Now?"},
    {"role": "tool", "tool_call_id": "call_1", "content": "late"},
    {"role": "assistant", "content": " "},
    {"role": "assistant", "content": None, "tool_calls": [{"id": 5}]},
    {"role": "user", "content": "And?"},
    {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_2", "content": "done"},
]


async def made(me: httpx2.AsyncClient, messages: list[Json], **details: Any) -> list[Json]:
    """A chat with these messages."""
    ok(await me.post("/chats", json={"key": "c", **details, "conversation": messages}))
    return await every_item(me, f"{PATH}/messages")


def facts(answer: Json) -> list[Any]:
    """What an answer says of itself."""
    return [answer[name] for name in ("tokens", "message_count", "truncated", "first_seq", "last_seq")]


def shown(answer: Json) -> Json:
    """What is to be passed on."""
    return {name: answer[name] for name in ("messages", "input", "system") if name in answer}


async def test_chat_completions(me: httpx2.AsyncClient) -> None:
    await made(me, EGGS, summary="They met.")
    answer = ok(await me.get(f"{PATH}/context"))
    assert answer["format"] == "chat_completions"
    assert answer["messages"] == [
        {"role": "system", "content": "You cook."},
        {"role": "system", "content": "Summary of the conversation so far:\nThey met."},
        {"role": "user", "content": "How do I boil an egg?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "started"},
        {"role": "assistant", "content": "Eight minutes. "},
    ]
    assert facts(answer) == [45 + 13, 5, False, 2, 5]


async def test_responses(me: httpx2.AsyncClient) -> None:
    await made(me, EGGS)
    answer = ok(await me.get(f"{PATH}/context", params={"format": "responses"}))
    assert answer["input"] == [
        {"type": "message", "role": "system", "content": "You cook."},
        {"type": "message", "role": "user", "content": "How do I boil an egg?"},
        {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": '{"minutes": 8}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "started"},
        {"type": "message", "role": "assistant", "content": "Eight minutes. "},
    ]
    assert facts(answer) == [45, 5, False, 2, 5]


async def test_anthropic(me: httpx2.AsyncClient) -> None:
    await made(me, EGGS)
    answer = ok(await me.get(f"{PATH}/context", params={"format": "anthropic"}))
    assert answer["system"] == [{"type": "text", "text": "You cook."}]
    use = {"type": "tool_use", "id": "call_1", "name": "timer", "input": {"minutes": 8}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "started"}]}
    assert answer["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "How do I boil an egg?"}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": [{"type": "text", "text": "Eight minutes."}]},
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"max_tokens": 0}, [0, 0, True, None, None]),
        ({"max_tokens": 5}, [5, 1, True, None, None]),
        ({"max_tokens": 15}, [15, 2, True, 2, 2]),
        ({"max_tokens": 44}, [25, 3, True, 2, 5]),
        ({"max_tokens": 45}, [45, 5, False, 2, 5]),
        ({"max_turns": 1}, [45, 5, False, 2, 5]),
    ],
)
async def test_limits(me: httpx2.AsyncClient, query: dict[str, int], expected: list[Any]) -> None:
    await made(me, EGGS)
    assert facts(ok(await me.get(f"{PATH}/context", params=query))) == expected


async def test_an_empty_chat(me: httpx2.AsyncClient) -> None:
    await made(me, [])
    for name in CHECKERS:
        answer = ok(await me.get(f"{PATH}/context", params={"format": name}))
        assert all(value == [] for value in shown(answer).values())
        assert facts(answer) == [0, 0, False, None, None]
    assert ok(await me.get(f"{PATH}/lint")) == {"ok": True, "items": [], "truncated": False}
    assert ok(await me.post(f"{PATH}/repair")) == {"repaired": []}


@pytest.mark.parametrize(
    "query",
    ["format=xml", "format=", "max_tokens=-1", "max_tokens=x", "max_tokens=1.5", "max_turns=0", "max_turns=1001"],
)
async def test_what_is_no_query(me: httpx2.AsyncClient, query: str) -> None:
    await made(me, EGGS)
    details = problem(await me.get(f"{PATH}/context?{query}"), 422)
    assert details["errors"][0]["loc"] == ["query", query.partition("=")[0]]


async def test_a_chat_that_is_not_there(me: httpx2.AsyncClient) -> None:
    for path in (PATH, "/chats/01932c07-1f3e-7000-8000-abcdef012345", "/chats/x"):
        problem(await me.get(f"{path}/context"), 404)
        problem(await me.get(f"{path}/lint"), 404)
        problem(await me.post(f"{path}/repair"), 404)
    problem(await me.post(f"{PATH}/repair", headers={"Idempotency-Key": "k"}), 404)


async def test_only_the_active_branch(me: httpx2.AsyncClient) -> None:
    await made(me, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    ok(await me.post(f"{PATH}/messages", json={"role": "user", "content": "c", "parent": None}))
    ok(await me.post(f"{PATH}/messages", json={"role": "assistant", "content": ""}))
    answer = ok(await me.get(f"{PATH}/context"))
    assert answer["messages"] == [{"role": "user", "content": "c"}]
    assert [one["seq"] for one in ok(await me.get(f"{PATH}/lint"))["items"]] == [4]
    ok(await me.patch(PATH, json={"head": 2}))
    assert ok(await me.get(f"{PATH}/lint"))["ok"]
    assert ok(await me.post(f"{PATH}/repair")) == {"repaired": []}
    assert [m["content"] for m in ok(await me.get(f"{PATH}/context"))["messages"]] == ["a", "b"]


async def test_a_long_chat_is_not_read_whole(me: httpx2.AsyncClient, app: FastAPI) -> None:
    await made(me, [{"role": "user", "content": "x", "tokens": 1}] * 3000)
    async with statements(app) as few:
        answer = ok(await me.get(f"{PATH}/context", params={"max_tokens": 50}))
    assert facts(answer) == [50, 50, True, 2951, 3000]
    answer = ok(await me.get(f"{PATH}/context"))
    assert facts(answer) == [2048, 2048, True, 953, 3000]
    assert len(few) <= 8


@pytest.mark.parametrize("number", range(count(fast=3, all=12)))
async def test_generated_histories(me: httpx2.AsyncClient, number: int, seed: int) -> None:
    generator = Generator(seed + number)
    messages = [
        one
        for one in generator.broken()
        if one.get("content") is not None or one.get("tool_calls") or one["type"] != "message"
    ]
    kept = [{k: v for k, v in one.items() if k not in ("seq", "message_id", "status")} for one in messages]
    stored = await made(me, kept)
    for name, check in CHECKERS.items():
        for query in QUERIES:
            answer = ok(await me.get(f"{PATH}/context", params={"format": name, **query}))
            check(shown(answer))
            assert answer["tokens"] == context(stored, **query).tokens
    before = shown(ok(await me.get(f"{PATH}/context", params={"format": "responses"})))
    findings = ok(await me.get(f"{PATH}/lint"))
    assert ok(await me.post(f"{PATH}/repair")) == {"repaired": findings["items"]}
    assert ok(await me.get(f"{PATH}/lint")) == {"ok": True, "items": [], "truncated": False}
    after = shown(ok(await me.get(f"{PATH}/context", params={"format": "responses"})))
    assert len(after["input"]) == len(before["input"])
    assert ok(await me.post(f"{PATH}/repair")) == {"repaired": []}


async def test_lint_and_repair(me: httpx2.AsyncClient) -> None:
    stored = await made(me, BROKEN)
    findings = ok(await me.get(f"{PATH}/lint"))
    assert not findings["ok"]
    assert [(one["seq"], one["rule"]) for one in findings["items"]] == [
        (1, "before_first_user"),
        (3, "orphaned_tool_call"),
        (6, "misplaced_tool_result"),
        (7, "empty_content"),
        (8, "malformed_tool_call"),
        (10, "duplicate_call_id"),
    ]
    assert [one["message_id"] for one in findings["items"]] == [
        stored[n - 1]["message_id"] for n in (1, 3, 6, 7, 8, 10)
    ]
    assert all(one.keys() == {"rule", "message_id", "seq", "detail"} for one in findings["items"])
    version = ok(await me.get(PATH))
    answer = await me.post(f"{PATH}/repair", headers={"Idempotency-Key": "k"})
    assert ok(answer) == {"repaired": findings["items"]}
    assert ok(await me.get(f"{PATH}/lint"))["ok"]
    mended = await every_item(me, f"{PATH}/messages")
    assert [one["type"] for one in mended] == [
        "preamble",
        "message",
        "message",
        "message",
        "message",
        "orphaned_tool_result",
        "empty",
        "empty",
        "message",
        "message",
        "message",
    ]
    assert [one.get("content") for one in mended] == [one["content"] for one in BROKEN]
    assert [call["id"] for call in mended[2]["tool_calls"]] == ["call_2"]
    assert "tool_calls" not in mended[7]
    assert mended[9]["tool_calls"][0]["id"] == mended[10]["tool_call_id"] != "call_2"
    assert [one["seq"] for one in mended if "edited_at" in one] == [1, 3, 6, 7, 8, 10, 11]
    kept = {name: version[name] for name in ("message_count", "total_tokens", "last_seq")}
    assert {name: ok(await me.get(PATH))[name] for name in kept} == kept
    again = await me.post(f"{PATH}/repair", headers={"Idempotency-Key": "k"})
    assert (again.content, again.headers["Idempotency-Replayed"]) == (answer.content, "true")
    assert await every_item(me, f"{PATH}/messages") == mended
    revisions = ok(await me.get(f"{PATH}/messages/3/revisions"))["items"]
    assert [one["tool_calls"] for one in revisions] == [BROKEN[2]["tool_calls"]]


async def test_a_repair_of_what_needs_none_changes_nothing(me: httpx2.AsyncClient) -> None:
    await made(me, EGGS)
    before = (await me.get(PATH)).headers["ETag"]
    assert ok(await me.post(f"{PATH}/repair")) == {"repaired": []}
    assert (await me.get(PATH)).headers["ETag"] == before


async def test_nobody_repairs_in_anothers_turn(me: httpx2.AsyncClient) -> None:
    await made(me, BROKEN)
    turn = ok(await me.post(f"{PATH}/turn", json={"holder": "worker"}))
    problem(await me.post(f"{PATH}/repair"), 409)
    assert not ok(await me.get(f"{PATH}/lint"))["ok"]
    assert ok(await me.post(f"{PATH}/repair", headers={"Turn-Token": str(turn["token"])}))["repaired"]


async def test_as_many_findings_as_can_be_used(me: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_FINDINGS", 3)
    await made(me, [{"role": "user", "content": ""}] * 5)
    found = ok(await me.get(f"{PATH}/lint"))
    assert (found["ok"], found["truncated"]) == (False, True)
    assert [one["seq"] for one in found["items"]] == [3, 4, 5]
    assert len(ok(await me.post(f"{PATH}/repair"))["repaired"]) == 5


async def test_a_reader_may_not_repair(
    app: FastAPI, me: httpx2.AsyncClient, admin: dict[str, str], make_user: Callable[[], str]
) -> None:
    user_id = make_user()
    body = {"name": "reader", "user_id": user_id, "scopes": ["chats:read"]}
    key = ok(await me.post("/admin/api-keys", json=body))["key"]
    async with acting(app, {"Authorization": f"Bearer {key}"}) as reader:
        problem(await reader.post(f"{PATH}/repair"), 403)
        problem(await reader.get(f"{PATH}/context"), 404)
