"""Who calls, by the headers of a request: whose key it is, whom it acts for, what it may do."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx2
import pytest

from tests.auth.keys import PATH, Headers, Make, bearing
from tests.servers.service import ADMIN_KEY

pytestmark = pytest.mark.any_database


async def test_a_user_key_acts_for_its_user_alone(
    client: httpx2.AsyncClient, make: Make, make_user: Callable[[], str], as_user: Callable[[str], Headers]
) -> None:
    ann, bob = make_user(), make_user()
    key = (await make(user_id=ann))["key"]
    chat = await client.post("/chats", headers=bearing(key), json={"title": "Ann's"})
    assert chat.status_code == 201
    listed = await client.get("/chats", headers=as_user(ann))
    assert [each["title"] for each in listed.json()["items"]] == ["Ann's"]
    for named in (bob, ann, ""):
        refused = await client.get("/chats", headers=bearing(key, **{"X-User-Id": named}))
        assert refused.status_code == 403, named


async def test_a_service_key_acts_for_the_user_it_names(
    client: httpx2.AsyncClient, make: Make, make_user: Callable[[], str]
) -> None:
    key, ann, bob = (await make())["key"], make_user(), make_user()
    await client.post("/chats", headers=bearing(key, **{"X-User-Id": ann}), json={"title": "Ann's"})
    counts = [
        len((await client.get("/chats", headers=bearing(key, **{"X-User-Id": user}))).json()["items"])
        for user in (ann, bob)
    ]
    assert counts == [1, 0]
    nobody = await client.get("/chats", headers=bearing(key))
    assert nobody.status_code == 400
    assert "X-User-Id" in nobody.json()["detail"]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (b"ann@example.org", "ann@example.org"),
        (b"auth0|5f7c", "auth0|5f7c"),
        (b"J%C3%BCrgen", "Jürgen"),
        ("Jürgen".encode(), "Jürgen"),
        (b"%e7%8e%8b", "王"),
        (b"100%25", "100%"),
        (b"a+b c", "a+b c"),
        (b"%20", " "),
        (b"a" * 255, "a" * 255),
    ],
)
async def test_x_user_id_is_percent_encoded_utf_8(
    client: httpx2.AsyncClient, make: Make, written: bytes, means: str
) -> None:
    key = (await make(user_id=means))["key"]
    title = str(uuid4())
    service = {b"Authorization": f"Bearer {ADMIN_KEY}".encode(), b"X-User-Id": written}
    assert (await client.post("/chats", headers=service, json={"title": title})).status_code == 201
    listed = await client.get("/chats", headers=bearing(key))
    assert listed.json()["items"][0]["title"] == title


@pytest.mark.parametrize(
    "wrong", [b"", b"%00", b"a%0Ab", b"%7F", b"%C2%85", b"%zz", b"50%", b"%C3", b"\xfc", b"%ED%A0%80", b"a" * 256]
)
async def test_what_is_no_user_id_is_refused(client: httpx2.AsyncClient, wrong: bytes) -> None:
    headers = {b"Authorization": f"Bearer {ADMIN_KEY}".encode(), b"X-User-Id": wrong}
    answer = await client.get("/chats", headers=headers)
    assert answer.status_code == 400
    assert "X-User-Id" in answer.json()["detail"]


async def test_two_users_are_refused(client: httpx2.AsyncClient, admin: Headers) -> None:
    headers = [*admin.items(), ("X-User-Id", "ann"), ("X-User-Id", "ann")]
    assert (await client.get("/chats", headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("scopes", "read", "write", "administer"),
    [
        (["chats:read"], 200, 403, 403),
        (["chats:write"], 403, 201, 403),
        (["admin"], 403, 403, 200),
        (["chats:read", "chats:write", "admin"], 200, 201, 200),
    ],
    ids=str,
)
async def test_a_key_may_do_what_its_scopes_say(
    client: httpx2.AsyncClient,
    make: Make,
    make_user: Callable[[], str],
    scopes: list[str],
    read: int,
    write: int,
    administer: int,
) -> None:
    headers = bearing((await make(user_id=make_user(), scopes=scopes))["key"])
    assert (await client.get("/chats", headers=headers)).status_code == read
    assert (await client.post("/chats", headers=headers, json={})).status_code == write
    for method, path in (("GET", PATH), ("GET", f"{PATH}/{uuid4()}"), ("DELETE", f"{PATH}/{uuid4()}")):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == (administer if path == PATH or administer == 403 else 404)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", ADMIN_KEY)],
        [("Authorization", f"Basic {ADMIN_KEY}")],
        [("Authorization", f"Bearer{ADMIN_KEY}")],
        [("Authorization", f"Bearer {ADMIN_KEY}x")],
        [("Authorization", f"Bearer {ADMIN_KEY[:-1]}")],
        [("Authorization", f"Bearer {ADMIN_KEY.upper()}")],
        [("Authorization", f"Bearer {ADMIN_KEY} {ADMIN_KEY}")],
        [("Authorization", f"Bearer {ADMIN_KEY},Bearer {ADMIN_KEY}")],
        [("Authorization", f"Bearer {ADMIN_KEY}"), ("Authorization", f"Bearer {ADMIN_KEY}")],
        [("Authorization", f"Bearer {ADMIN_KEY}"), ("Authorization", "Basic eDp5")],
        [("Authorization", "Bearer ck_" + "A" * 43)],
        [("Authorization", "Bearer ck_" + "A" * 42)],
        [("Authorization", "Bearer ck_' OR '1'='1")],
        [("Authorization", "Bearer " + "x" * 7000)],
        [("X-Api-Key", ADMIN_KEY)],
        [("Cookie", f"Authorization=Bearer {ADMIN_KEY}")],
    ],
    ids=lambda headers: ",".join(f"{name}:{value[:80]}" for name, value in headers) or "nothing",
)
async def test_without_a_key_nobody_comes_in(client: httpx2.AsyncClient, headers: list[tuple[str, str]]) -> None:
    for path in ("/chats", PATH):
        answer = await client.get(path, headers=[*headers, ("X-User-Id", "ann")])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert ADMIN_KEY not in answer.text
    assert (await client.get(f"{PATH}?key={ADMIN_KEY}")).status_code == 401


async def test_the_scheme_may_be_written_in_any_case(client: httpx2.AsyncClient) -> None:
    for scheme in ("bearer", "BEARER"):
        assert (await client.get(PATH, headers={"Authorization": f"{scheme} {ADMIN_KEY}"})).status_code == 200


async def test_the_body_of_a_stranger_is_not_read(client: httpx2.AsyncClient) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b'{"name":'

    for path in (PATH, "/chats"):
        answer = await client.post(path, content=endless(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 401
    assert read == 0
