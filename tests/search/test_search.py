"""The search as a caller sees it: what is found, among what, in which order, page by page."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.search import bucket_allocation, executor, store
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started


async def chat(client: httpx2.AsyncClient, *texts: str, **details: Any) -> str:
    """The id of a new chat with messages, by user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    made = ok(await client.post("/chats", json=details | {"conversation": messages}))
    chat_id: str = made["chat_id"]
    return chat_id


async def hits(client: httpx2.AsyncClient, q: str, **query: Any) -> list[Json]:
    return await every_item(client, "/search", q=q, **query)


async def seqs(client: httpx2.AsyncClient, q: str, **query: Any) -> list[int]:
    return sorted(hit.get("seq", 0) for hit in await hits(client, q, **query))


async def test_a_hit_says_what_it_is(me: httpx2.AsyncClient) -> None:
    chat_id = await chat(me, "How long?", "Six minutes for a <soft> egg.", title="Eggs & more", summary="To boil eggs")
    message = ok(await me.get(f"/chats/{chat_id}/messages/2"))
    assert await hits(me, "soft egg") == [
        {
            "kind": "message",
            "chat_id": chat_id,
            "title": "Eggs & more",
            "seq": 2,
            "message_id": message["message_id"],
            "role": "assistant",
            "created_at": message["created_at"],
            "snippet": "Six minutes for a &lt;<mark>soft</mark>&gt; <mark>egg</mark>.",
        }
    ]
    (found,) = await hits(me, "boil")
    details = ok(await me.get(f"/chats/{chat_id}"))
    assert found == {
        "kind": "chat",
        "chat_id": chat_id,
        "title": "Eggs & more",
        "created_at": details["created_at"],
        "snippet": "Eggs &amp; more To <mark>boil</mark> eggs",
    }


async def test_nothing_is_no_error(me: httpx2.AsyncClient) -> None:
    assert ok(await me.get("/search", params={"q": "egg"})) == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "  "}, {"q": "-egg"}, {"q": "!?"}, {"q": "x" * 1001}])
async def test_what_cannot_be_looked_for_is_refused(me: httpx2.AsyncClient, query: Json) -> None:
    answer = await me.get("/search", params=query)
    assert problem(answer, 400 if query else 422)["detail"]


async def test_filters(me: httpx2.AsyncClient) -> None:
    web = await chat(me, "egg one", "egg two", title="egg", platform="web", tags=["kitchen", "home"], key="a/b")
    slack = await chat(me, "egg three", title="work", platform="slack", tags=["work", "home"])
    assert len(await hits(me, "egg")) == 4
    assert [hit["chat_id"] for hit in await hits(me, "egg", chat=slack)] == [slack]
    assert {hit["chat_id"] for hit in await hits(me, "egg", chat="key:a/b")} == {web}
    assert {hit["chat_id"] for hit in await hits(me, "egg", platform="web")} == {web}
    assert await seqs(me, "egg", role="assistant") == [2]
    assert await seqs(me, "egg", role="user") == [1, 1]
    assert await seqs(me, "egg", tag="kitchen") == [0, 1, 2]
    assert len(await hits(me, "egg", tag="home")) == 4
    assert [hit["chat_id"] for hit in await hits(me, "egg", tag=["home", "work"])] == [slack]
    problem(await me.get("/search", params={"q": "egg", "chat": "key:none"}), 404)
    problem(await me.get("/search", params={"q": "egg", "role": "robot"}), 422)


async def test_after_and_before(me: httpx2.AsyncClient) -> None:
    moments = [f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 6)]
    messages = [{"role": "user", "content": "egg", "created_at": at} for at in moments]
    ok(await me.post("/chats", json={"conversation": messages}))
    for first in range(5):
        for last in range(5):
            found = await seqs(me, "egg", after=moments[first], before=moments[last])
            assert found == [*range(first + 2, last + 1)]
    assert await seqs(me, "egg", before="0001-01-01T00:00:00Z") == []
    assert await seqs(me, "egg", after="9999-12-31T23:59:59.999999Z") == []
    problem(await me.get("/search", params={"q": "egg", "after": "2026-01-01T00:00:00"}), 422)


async def test_the_ends_of_time(me: httpx2.AsyncClient) -> None:
    moments = ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000000Z"]
    messages = [{"role": "user", "content": "egg", "created_at": at} for at in moments]
    ok(await me.post("/chats", json={"conversation": messages}))
    for limit in (1, 50):
        for order in ("best", "newest"):
            found = [hit["created_at"] for hit in await hits(me, "egg", order=order, limit=limit)]
            assert found == sorted(moments, reverse=True)


async def test_the_trash(me: httpx2.AsyncClient) -> None:
    chat_id = await chat(me, "an egg", title="egg")
    ok(await me.delete(f"/chats/{chat_id}"))
    assert await hits(me, "egg") == []
    assert await seqs(me, "egg", include_deleted=True) == [0, 1]
    assert await seqs(me, "egg", include_deleted=True, chat=chat_id) == [0, 1]
    ok(await me.post(f"/chats/{chat_id}/restore"))
    assert await seqs(me, "egg") == [0, 1]
    ok(await me.delete(f"/chats/{chat_id}", params={"hard": "true"}))
    assert await hits(me, "egg", include_deleted=True) == []


async def test_best_first(me: httpx2.AsyncClient) -> None:
    filler = "and much more about other things that fill a message up with words that nobody looks for"
    texts = ["an egg", f"an egg {filler}", "egg, egg and egg", "soft", "egg soft"]
    chat_id = await chat(me, *texts)
    await chat(me, title="Egg")
    assert [hit.get("seq") for hit in await hits(me, "egg")] == [None, 3, 1, 5, 2]
    # What is rare among what was found counts for more.
    assert (await hits(me, "egg OR soft"))[0]["seq"] == 5
    assert [hit["seq"] for hit in await hits(me, "egg", chat=chat_id, order="newest")] == [5, 3, 2, 1]


@pytest.mark.parametrize("order", ["best", "newest"])
async def test_pages(me: httpx2.AsyncClient, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WINDOW", 7)
    chat_id = await chat(me, *("egg " * (number % 5 + 1) for number in range(30)))
    expected = await hits(me, "egg", order=order)
    assert sorted(hit["seq"] for hit in expected) == [*range(1, 31)]
    for limit in (1, 3, 7, 8, 29, 30, 31):
        assert await hits(me, "egg", order=order, limit=limit) == expected
    # What is written between two pages moves nothing.
    page = ok(await me.get("/search", params={"q": "egg", "order": order, "limit": 3}))
    ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": "egg egg"}))
    rest = await every_item(me, "/search", q="egg", order=order, limit=3, cursor=page["next_cursor"])
    assert page["items"] + rest == expected


async def test_a_page_links_to_the_next(me: httpx2.AsyncClient) -> None:
    await chat(me, "egg", "egg", "egg")
    answer = await me.get("/search", params={"q": "egg", "limit": 2})
    link = answer.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert len(ok(await me.get(link))["items"]) == 1


async def test_a_cursor_is_good_for_its_own_search_only(
    me: httpx2.AsyncClient, app: FastAPI, admin: dict[str, str]
) -> None:
    await chat(me, "egg", "egg", "egg")
    for order, other in (("best", "newest"), ("newest", "best")):
        asked: Json = {"q": "egg", "limit": 1, "order": order}
        cursor = ok(await me.get("/search", params=asked))["next_cursor"]
        ok(await me.get("/search", params=asked | {"cursor": cursor, "limit": 2}))
        for change in ({"q": "eggs"}, {"order": other}, {"role": "user"}, {"cursor": cursor[:-1]}, {"tag": "x"}):
            problem(await me.get("/search", params=asked | {"cursor": cursor} | change), 400)
        async with acting(app, admin | {"X-User-Id": "somebody else"}) as another:
            problem(await another.get("/search", params=asked | {"cursor": cursor}), 400)


async def test_nobody_finds_what_is_anothers(app: FastAPI, admin: dict[str, str]) -> None:
    async with acting(app, admin | {"X-User-Id": "s-ann"}) as ann, acting(app, admin | {"X-User-Id": "s-bob"}) as bob:
        anns = await chat(ann, "our secret egg", title="secret", key="mine", tags=["t"])
        await chat(bob, "an egg")
        assert len(await hits(bob, "egg")) == 1
        for q in ("secret", "secre*", "egg OR secret", "egg secret", '"secret egg"', "egg -zzz"):
            assert all(hit["chat_id"] != anns for hit in await hits(bob, q, include_deleted=True))
        absent = problem(
            await bob.get("/search", params={"q": "egg", "chat": "01932c07-1f3e-7000-8000-abcdef012345"}), 404
        )
        for name in (anns, anns.upper(), "key:mine", "x", "key:", "\0"):
            assert problem(await bob.get("/search", params={"q": "egg", "chat": name}), 404) == absent


async def test_what_changes_is_found_as_it_is(me: httpx2.AsyncClient) -> None:
    chat_id = await chat(me, "first egg", "second egg", "third egg", title="eggs", summary="about eggs")
    path = f"/chats/{chat_id}"
    ok(await me.patch(f"{path}/messages/2", json={"content": "second spoon"}))
    assert await seqs(me, "egg") == [1, 3]
    assert await seqs(me, "spoon") == [2]
    ok(await me.delete(f"{path}/messages/1"))
    assert await seqs(me, "egg") == [3]
    ok(await me.post(f"{path}/messages/pop"))
    assert await seqs(me, "egg") == []
    assert await seqs(me, "eggs") == [0]
    ok(await me.patch(path, json={"title": "spoons"}))
    assert await seqs(me, "spoons") == [0]
    ok(await me.patch(path, json={"summary": None}))
    assert await seqs(me, "eggs") == []
    ok(await me.delete(f"{path}/messages"))
    assert await seqs(me, "spoon") == []
    assert await seqs(me, "spoons") == [0]
    ok(await me.post(f"{path}/messages", json={"role": "user", "content": "a new egg"}))
    assert await seqs(me, "egg") == [4]
    ok(await me.put(path, json={"title": "pans", "conversation": [{"role": "user", "content": "other"}]}))
    assert await seqs(me, "spoons OR egg") == []
    assert await seqs(me, "pans OR other") == [0, 5]


async def test_an_answer_is_found_when_it_has_ended(me: httpx2.AsyncClient) -> None:
    chat_id = await chat(me, "go on")
    path = f"/chats/{chat_id}/messages"
    message = ok(await me.post(path, json={"role": "assistant", "content": "", "status": "in_progress"}))
    ok(await me.post(f"{path}/{message['message_id']}/chunks", json={"offset": 0, "text": "an egg"}))
    assert await seqs(me, "egg") == []
    ok(await me.post(f"{path}/{message['message_id']}/complete", json={"offset": 6}))
    assert await seqs(me, "egg") == [2]


async def test_too_much_to_look_through(me: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "BUDGET", 50)
    monkeypatch.setattr(bucket_allocation, "BUCKET_SIZE", 20)

    def messages(step: int) -> list[Json]:
        moments = [f"2026-01-01T00:{number * step % 60:02}:00Z" for number in range(60)]
        return [{"role": "user", "content": "soft egg", "created_at": at} for at in moments]

    # As they are written in the order of their moments, each bucket has a time of its own.
    in_order = ok(await me.post("/chats", json={"conversation": messages(1)}))["chat_id"]
    assert len(await hits(me, "soft egg", order="newest", limit=7)) == 60
    # All have both words, none has them like this: page by page, it is looked through.
    page = ok(await me.get("/search", params={"q": '"egg soft"'}))
    assert page["items"] == []
    assert page["next_cursor"] is not None
    assert await hits(me, '"egg soft"') == []
    # Where every bucket has something of every time, there is no saying what is newest before all is looked at.
    ok(await me.delete(f"/chats/{in_order}", params={"hard": "true"}))
    mixed = ok(await me.post("/chats", json={"conversation": messages(7)}))["chat_id"]
    page = ok(await me.get("/search", params={"q": '"egg soft"'}))
    details = problem(await me.get("/search", params={"q": '"egg soft"', "cursor": page["next_cursor"]}), 400)
    assert "looked through" in details["detail"]
    monkeypatch.setattr(executor, "BUDGET", 5000)
    assert await hits(me, '"egg soft"') == []
    assert len(await hits(me, "soft egg", chat=mixed, limit=7)) == 60


async def test_the_search_can_be_turned_off(settings: Settings, admin: dict[str, str]) -> None:
    headers = admin | {"X-User-Id": "off"}
    without = settings.model_copy(update={"search": False})
    async with started(without) as app, acting(app, headers) as client:
        await chat(client, "egg")
        assert "turned off" in problem(await client.get("/search", params={"q": "egg"}), 404)["detail"]
    async with started(settings) as app, acting(app, headers) as client:
        assert await seqs(client, "egg") == [1]
