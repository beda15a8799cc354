"""Queries and cursors that nobody would send: answered, or refused with a reason; never a 500."""

import base64
import random
from urllib.parse import quote

import httpx2
import orjson

from app.http.paging import encode_cursor
from tests.callers import PROBLEM_JSON, Json, ok
from tests.profiles import count
from tests.search.test_fuzz import FRAGMENTS, TEXT


async def write(client: httpx2.AsyncClient) -> None:
    messages = [{"role": "user", "content": f"{TEXT} {number}"} for number in range(20)]
    ok(await client.post("/chats", json={"title": "eggs", "summary": TEXT, "conversation": messages}))


def is_fine(answer: httpx2.Response, asked: object) -> None:
    assert answer.status_code in (200, 400, 422), (answer.status_code, asked, answer.text)
    if not answer.is_success:
        assert answer.headers["content-type"] == PROBLEM_JSON
        assert answer.json()["detail"]
    for hit in answer.json().get("items", []):
        assert "<" not in hit["snippet"].replace("<mark>", "").replace("</mark>", "")


async def test_queries(me: httpx2.AsyncClient, seed: int) -> None:
    await write(me)
    draw = random.Random(seed)
    seen: set[int] = set()
    for _ in range(count(fast=120, all=1000)):
        joint = draw.choice(["", " "])
        q = joint.join(draw.choices(FRAGMENTS, k=draw.randint(1, 8)))[:1100]
        order, limit = draw.choice(["best", "newest"]), draw.choice([1, 7, 200])
        # Lone surrogates too, as bytes.
        asked = f"q={quote(q.encode('utf-8', 'surrogatepass'))}&order={order}&limit={limit}"
        answer = await me.get(f"/search?{asked}")
        is_fine(answer, q)
        seen.add(answer.status_code)
    assert seen >= {200, 400}


async def test_cursors(me: httpx2.AsyncClient, seed: int) -> None:
    await write(me)
    draw = random.Random(seed)
    user = ok(await me.get("/chats"))["items"][0]["user_id"]
    values = [
        "",
        "x",
        0,
        1,
        -1,
        2**63,
        2**62,
        1.5,
        None,
        True,
        [],
        {},
        "2026-01-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    values += ["0001-01-01T00:00:00.000000Z", "2026-01-01T00:00:00Z", "2026-01-01", "\0", "infinity", 500, 501, 2**31]
    for _ in range(count(fast=120, all=1000)):
        order = draw.choice(["best", "newest"])
        asked = {"q": "egg", "order": order, "limit": str(draw.choice([1, 3]))}
        given = ok(await me.get("/search", params=asked))["next_cursor"]
        match draw.randrange(4):
            case 0:
                # One bit of it is another.
                place = draw.randrange(len(given))
                cursor = given[:place] + chr(ord(given[place]) ^ 1 << draw.randrange(6)) + given[place + 1 :]
            case 1:
                cursor = "".join(chr(draw.randrange(1, 0x2000)) for _ in range(draw.randrange(40)))
            case 2:
                cursor = base64.urlsafe_b64encode(orjson.dumps(draw.choices(values, k=3))).decode()
            case _:
                # What somebody makes who knows how: the digest is right, and the place is any.
                filters: Json = {"q": "egg", "chat": None, "role": None, "platform": None, "tag": [], "after": None}
                filters |= {"before": None, "include_deleted": False, "order": order}
                binding = ["search", user, filters]
                cursor = encode_cursor(binding, draw.choices(values, k=draw.randint(0, 4)))
        is_fine(await me.get("/search", params=asked | {"cursor": cursor}), (cursor, asked))
