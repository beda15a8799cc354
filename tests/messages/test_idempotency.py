"""Nothing twice: every POST with an Idempotency-Key has one effect and one answer, however often it is sent."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from app.db.timestamps import now
from app.jobs import housekeeping
from app.models import Idempotency
from tests.callers import every_item, ok, problem
from tests.document import OPERATIONS, RETRIED_BY_OFFSET, TAKES_FILES, Operation
from tests.messages.attempts import ABSENT, HELLO, Attempt, a_chat, path_of, prepared
from tests.tables import stored

REPLAYED_HEADER = "Idempotency-Replayed"
# Every POST that takes a key: a new one is tested by itself.
POSTS = [one for one in OPERATIONS if one.method == "POST" and str(one) not in (RETRIED_BY_OFFSET, TAKES_FILES)]
every_post = pytest.mark.parametrize("post", POSTS, ids=str)
# Those of which a second one has an effect as well, on what the first one left. For turns see `test_turns`.
every_repeatable = pytest.mark.parametrize("post", [post for post in POSTS if not post.path.endswith("/turn")], ids=str)


@pytest.fixture
async def attempt(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, post: Operation) -> Attempt:
    """The operation, ready to be sent."""
    return await prepared(me, me_too, post)


def test_every_post_is_here_and_documents_its_key() -> None:
    paths = {
        "/chats",
        "/chats/{chat}/restore",
        "/chats/{chat}/messages",
        "/chats/{chat}/messages/pop",
        "/chats/{chat}/messages/{message}/complete",
        "/chats/{chat}/messages/{message}/fail",
        "/chats/{chat}/turn",
        "/chats/{chat}/fork",
        "/chats/{chat}/repair",
        "/tickets",
        "/admin/api-keys",
    }
    assert paths <= {post.path for post in POSTS}
    for post in POSTS:
        header = post.header("Idempotency-Key")
        assert header is not None
        assert not header.get("required")


@every_post
async def test_a_retry_has_no_effect_and_the_first_answer(app: FastAPI, attempt: Attempt) -> None:
    before = await stored(app, *attempt.owners)
    first = await attempt.send()
    assert first.is_success
    after = await stored(app, *attempt.owners)
    assert after != before
    for again in (False, True):
        retry = await attempt.send(again=again)
        assert (retry.status_code, retry.content) == (first.status_code, first.content)
        assert retry.headers[REPLAYED_HEADER] == "true"
        assert {n: v for n, v in retry.headers.items() if n in ("etag", "location")} == {
            n: v for n, v in first.headers.items() if n in ("etag", "location")
        }
        assert await stored(app, *attempt.owners) == after
    assert REPLAYED_HEADER not in first.headers


@every_post
async def test_the_same_key_for_another_request_is_refused(app: FastAPI, attempt: Attempt) -> None:
    ok(await attempt.send())
    after = await stored(app, *attempt.owners)
    attempt.refused(await attempt.send(query="?x=1"), 422)
    if attempt.body is not None:
        attempt.refused(await attempt.send(name="another"), 422)
    assert await stored(app, *attempt.owners) == after


@every_repeatable
async def test_of_twenty_at_once_one_has_an_effect(app: FastAPI, attempt: Attempt) -> None:
    before = await attempt.effects(app)
    answers = await asyncio.gather(*(attempt.send(again=n % 2 == 0) for n in range(20)))
    assert answers[0].is_success
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert sum(REPLAYED_HEADER not in answer.headers for answer in answers) == 1
    assert await attempt.effects(app) == before + 1
    assert len((await stored(app, *attempt.owners))["idempotency"]) == 1


@every_repeatable
async def test_without_a_key_each_has_its_effect(app: FastAPI, attempt: Attempt) -> None:
    before = await attempt.effects(app)
    assert REPLAYED_HEADER not in ok_headers(await attempt.send(None))
    assert await attempt.effects(app) == before + 1
    second = await attempt.send(None)
    assert REPLAYED_HEADER not in second.headers
    assert await attempt.effects(app) == before + 1 + attempt.ok_again(second)
    assert (await stored(app, *attempt.owners))["idempotency"] == []


@every_post
async def test_a_refused_request_leaves_no_key_behind(app: FastAPI, attempt: Attempt, post: Operation) -> None:
    before = await stored(app, *attempt.owners)
    if post.takes_body:
        attempt.refused(await attempt.send(unknown_field=1), 422)
    if post.has("chat", "conversation"):
        attempt.path, right = path_of(post, ABSENT), attempt.path
        attempt.refused(await attempt.send(), 404)
        attempt.path = right
    assert await stored(app, *attempt.owners) == before
    assert REPLAYED_HEADER not in ok_headers(await attempt.send())


def ok_headers(answer: httpx2.Response) -> httpx2.Headers:
    """The headers of an answer that must be a good one."""
    ok(answer)
    return answer.headers


async def test_a_conflict_leaves_no_key_behind(me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats", json={"key": "k"}))
    idempotency = {"Idempotency-Key": "1"}
    problem(await me.post("/chats", json={"key": "k"}, headers=idempotency), 409)
    ok(await me.delete("/chats/key:k"))
    created = await me.post("/chats", json={"key": "k"}, headers=idempotency)
    assert (created.status_code, REPLAYED_HEADER in created.headers) == (201, False)


async def test_what_failed_in_the_trash_can_be_sent_again_out_of_it(me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={"conversation": [HELLO]})).headers["Location"]
    idempotency = {"Idempotency-Key": "1"}
    for end, body, status in (("/messages", HELLO, 201), ("/messages/pop", None, 200)):
        ok(await me.delete(path))
        problem(await me.post(path + end, json=body, headers=idempotency), 404)
        ok(await me.post(f"{path}/restore"))
        answer = await me.post(path + end, json=body, headers=idempotency)
        assert (answer.status_code, REPLAYED_HEADER in answer.headers) == (status, False)


@every_post
async def test_a_key_belongs_to_its_route(app: FastAPI, attempt: Attempt) -> None:
    ok(await attempt.send())
    chat = ok(await attempt.client.post("/chats", json={"title": "another"}, headers={"Idempotency-Key": "other"}))
    other = await attempt.client.post(
        f"/chats/{chat['chat_id']}/messages", json=HELLO, headers={"Idempotency-Key": "key"}
    )
    assert (other.status_code, REPLAYED_HEADER in other.headers) == (201, False)


@pytest.mark.parametrize("post", [post for post in POSTS if "/admin/" not in post.path], ids=str)
async def test_a_key_belongs_to_its_caller(
    attempt: Attempt, as_user: Callable[[str], dict[str, str]], post: Operation
) -> None:
    ok(await attempt.send())
    attempt.client.headers.update(as_user(f"{attempt.client.headers['X-User-Id']}-2"))
    if post.has("chat", "conversation"):
        attempt.refused(await attempt.send(), 404)
        chat_id = await a_chat(attempt.client, post, key="mine")
        attempt.path = path_of(post, "key:mine" if post.has("chat") else chat_id)
    answer = await attempt.send()
    assert answer.is_success
    assert REPLAYED_HEADER not in answer.headers


@pytest.mark.parametrize("post", [post for post in POSTS if "/admin/" not in post.path], ids=str)
async def test_a_retry_is_answered_also_when_the_chat_is_in_the_trash(attempt: Attempt) -> None:
    first = await attempt.send()
    for chat in await every_item(attempt.client, "/chats"):
        ok(await attempt.client.delete(f"/chats/{chat['chat_id']}"))
    retry = await attempt.send()
    assert (retry.status_code, retry.content, retry.headers[REPLAYED_HEADER]) == (
        first.status_code,
        first.content,
        "true",
    )
    assert await every_item(attempt.client, "/chats") == []


async def let_pass(app: FastAPI, attempt: Attempt, time: timedelta) -> None:
    """As if the answers that are kept had been given so much earlier."""
    async with app.state.services.db.write() as session:
        kept = col(Idempotency.user_id).in_(attempt.owners)
        await session.execute(update(Idempotency).where(kept).values(created_at=now() - time))


@every_repeatable
async def test_a_key_is_kept_for_a_day(app: FastAPI, attempt: Attempt) -> None:
    ok(await attempt.send())
    await let_pass(app, attempt, timedelta(hours=23, minutes=59))
    await housekeeping.run_pass(app.state.services.db)
    assert (await attempt.send()).headers[REPLAYED_HEADER] == "true"

    await let_pass(app, attempt, timedelta(hours=24, seconds=1))
    before = await attempt.effects(app)
    late = await attempt.send()
    assert REPLAYED_HEADER not in late.headers
    assert await attempt.effects(app) == before + attempt.ok_again(late)
    assert (await attempt.send()).content == late.content

    await let_pass(app, attempt, timedelta(hours=24, seconds=1))
    await housekeeping.run_pass(app.state.services.db)
    assert (await stored(app, *attempt.owners))["idempotency"] == []


@every_repeatable
async def test_a_key_that_is_none_is_refused(app: FastAPI, attempt: Attempt, post: Operation) -> None:
    before = await stored(app, *attempt.owners)
    for key in ("", "x" * 256, "a\tb", "a\x00b", "\x7f"):
        attempt.refused(await attempt.send(key), 422)
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    attempt.refused(await attempt.client.post(attempt.path, json=attempt.body, headers=twice), 422)
    assert await stored(app, *attempt.owners) == before
    for key in ("x" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "a b", "'; --"):
        taken = await prepared(attempt.client, attempt.other, post)
        assert REPLAYED_HEADER not in ok_headers(await taken.send(key))
        assert ok_headers(await taken.send(key))[REPLAYED_HEADER] == "true"


async def test_a_batch_sent_again_is_answered_as_a_batch(me: httpx2.AsyncClient) -> None:
    batch = {"messages": [HELLO, {"role": "tool", "content": None, "tool_calls": [{"n": 1.0}]}]}
    answers = [await me.post("/chats/key:new/messages", json=batch, headers={"Idempotency-Key": "1"}) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert ok(await me.get("/chats/key:new/messages"))["items"] == answers[0].json()["messages"]


async def test_an_empty_pop_is_remembered_too(me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats", json={"key": "k"}))
    idempotency = {"Idempotency-Key": "1"}
    assert (await me.post("/chats/key:k/messages/pop", headers=idempotency)).status_code == 204
    ok(await me.post("/chats/key:k/messages", json=HELLO))
    again = await me.post("/chats/key:k/messages/pop", headers=idempotency)
    assert (again.status_code, again.content, again.headers[REPLAYED_HEADER]) == (204, b"", "true")
    assert len(await every_item(me, "/chats/key:k/messages")) == 1
