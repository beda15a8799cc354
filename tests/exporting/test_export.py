"""Exports by HTTP: whose chats, which of them, in which format and coding, and under which name."""

import gzip
import zlib
from typing import Any

import httpx2
import orjson
import pytest
from fastapi import FastAPI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from app.archive_formats import exports
from app.exporting.compression import COMPRESSORS, negotiate_encoding, zstd
from app.exporting.content_disposition import attachment_header
from app.exporting.exporter import MAX_JOBS
from tests.archive_formats.exported_texts import page, table, texts
from tests.callers import Json, acting, ok, problem

TOOL: Json = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}}
CONVERSATION: list[Json] = [
    {"role": "system", "content": "You cook."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "How long?"},
            {"type": "image_url", "image_url": {"url": "https://a.example/egg.png"}},
        ],
    },
    {"role": "assistant", "content": None, "tool_calls": [TOOL], "model": "gpt-5", "tokens": 3},
    {"role": "tool", "content": "started", "tool_call_id": "call_1"},
    {"role": "assistant", "content": "Eight minutes.", "output_tokens": 4},
]


async def lines(client: httpx2.AsyncClient, path: str = "/export", **query: Any) -> list[Json]:
    """The records of an export as JSON Lines."""
    response = await client.get(path, params={"format": "jsonl", **query})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/jsonl"
    found = [orjson.loads(line) for line in response.content.splitlines()]
    assert (found[0]["record"], found[-1]["record"]) == ("chatkeep", "end")
    return found


def of(kind: str, found: list[Json]) -> list[Json]:
    """The records of a kind."""
    return [one for one in found if one["record"] == kind]


async def test_one_chat_with_all_that_hangs_on_it(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"title": "Eggs", "tags": ["a"], "conversation": CONVERSATION}))
    path = f"/chats/{chat['chat_id']}"
    ok(await me.patch(f"{path}/messages/1", json={"content": "You bake."}))
    ok(await me.put(f"{path}/messages/5/feedback", json={"rating": 1}))
    ok(await me.post(f"{path}/messages", json={"role": "assistant", "content": "Ten.", "parent": 4}))
    whole = ok(await me.get(f"{path}/export"))
    chat = ok(await me.get(path))
    messages = ok(await me.get(f"{path}/messages", params={"tree": "true"}))["items"]
    conversation = whole["conversation"]
    assert conversation == {name: chat[name] for name in conversation if name != "head_seq"} | {"head_seq": 6}
    assert "user_id" not in conversation
    assert [one["message_id"] for one in whole["messages"]] == [one["message_id"] for one in messages]
    assert [one.get("parent_seq") for one in whole["messages"]] == [None, 1, 2, 3, 4, 4]
    for mine, theirs in zip(whole["messages"], messages, strict=True):
        assert {name: value for name, value in mine.items() if name != "parent_seq"} == {
            name: value for name, value in theirs.items() if name not in ("chat_id", "parent_id", "siblings")
        }
    assert [(one["seq"], one["revision"], one["content"]) for one in whole["revisions"]] == [(1, 1, "You cook.")]
    (feedback,) = whole["feedback"]
    assert (feedback["seq"], feedback["rating"]) == (5, 1)
    found = await lines(me, f"{path}/export")
    assert [{k: v for k, v in one.items() if k != "record"} for one in of("message", found)] == whole["messages"]
    assert ok(await me.get("/export", params={"format": "json"})) == [whole]


@pytest.mark.parametrize("name", [name for name, form in exports().items() if not form.lossless])
async def test_other_formats_have_the_active_branch(me: httpx2.AsyncClient, name: str) -> None:
    chat = ok(await me.post("/chats", json={"title": "Eggs", "conversation": CONVERSATION}))
    path = f"/chats/{chat['chat_id']}"
    ok(await me.post(f"{path}/messages", json={"role": "assistant", "content": "Ten minutes.", "parent": 4}))
    ok(await me.post(f"{path}/messages", json={"role": "user", "content": "Thanks."}))
    for address in (f"{path}/export", "/export"):
        response = await me.get(address, params={"format": name})
        found = "\n".join(texts(response.headers["content-type"], response.content))
        assert "Ten minutes." in found
        assert "Thanks." in found
        assert "Eight minutes." not in found


async def test_csv(me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:k", json={"title": "=T", "conversation": CONVERSATION}))
    response = await me.get("/chats/key:k/export?format=csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.content.startswith(b"\xef\xbb\xbfchat_id,key,title,seq,message_id,role,name,model,created_at,text,")
    header, *rows = table(response.content)
    said = [dict(zip(header, row, strict=True)) for row in rows]
    assert [one["text"] for one in said] == ["You cook.", "How long?", "", "started", "Eight minutes."]
    assert {one["title"] for one in said} == {"'=T"}
    assert said[2]["tool_calls"] == orjson.dumps([TOOL]).decode()
    assert (said[2]["model"], said[2]["tokens"], said[4]["output_tokens"]) == ("gpt-5", "3", "4")


async def test_openai(me: httpx2.AsyncClient) -> None:
    conversation = [*CONVERSATION, {"role": "developer", "content": "Be brief.", "name": "boss"}]
    tools = [{"type": "function", "function": {"name": "timer", "parameters": {}}}]
    ok(await me.put("/chats/key:k", json={"metadata": {"tools": tools}, "conversation": conversation}))
    response = await me.get("/chats/key:k/export?format=openai")
    (line,) = response.content.splitlines()
    said = orjson.loads(line)
    assert said["tools"] == tools
    names = ("role", "content", "tool_calls", "tool_call_id", "name")
    assert said["messages"] == [{name: one[name] for name in names if name in one} for one in conversation]
    adapter: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
    for message in said["messages"]:
        adapter.validate_python(message)


async def test_sharegpt(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.put("/chats/key:k", json={"title": "T", "conversation": CONVERSATION}))
    (said,) = ok(await me.get("/chats/key:k/export?format=sharegpt"))
    assert (said["id"], said["title"]) == (chat["chat_id"], "T")
    assert [one["from"] for one in said["conversations"]] == [
        "system",
        "human",
        "function_call",
        "observation",
        "gpt",
    ]
    assert orjson.loads(said["conversations"][2]["value"]) == {"name": "timer", "arguments": {"minutes": 8}}


async def test_html_leads_nowhere_but_to_the_web(me: httpx2.AsyncClient) -> None:
    urls = [
        "javascript:alert(1)",
        "data:text/html,x",
        "//x.example",
        'https://a.example/"onload=x',
        "ftp://x",
        " https://x",
    ]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in [*urls, "https://a.example/?a=1&b=<2>"]]
    ok(await me.put("/chats/key:k", json={"title": "שלום", "conversation": [{"role": "user", "content": parts}]}))
    response = await me.get("/chats/key:k/export?format=html")
    assert page(response.text).links == ["https://a.example/?a=1&b=<2>"]
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    markdown = (await me.get("/chats/key:k/export?format=markdown")).text
    assert markdown.count("](<") == 1
    assert "](<https://a.example/?a=1&b=%3C2%3E>)" in markdown


async def test_filters_are_those_of_the_list(me: httpx2.AsyncClient) -> None:
    chats: dict[str, str] = {}
    for key, said in {
        "plain": {},
        "web": {"platform": "web", "tags": ["a", "b"], "metadata": {"n": 5}},
        "pinned": {"is_pinned": True, "tags": ["a"]},
        "archived": {"is_archived": True, "platform": "web"},
        "trash": {"platform": "web"},
        "archived trash": {"is_archived": True},
    }.items():
        chats[key] = ok(await me.put(f"/chats/key:{key}", json=said))["chat_id"]
    for key in ("trash", "archived trash"):
        ok(await me.delete(f"/chats/key:{key}"))
    middle = ok(await me.get("/chats/key:web"))["created_at"]
    for query, keys in (
        ({}, {"plain", "web", "pinned", "archived"}),
        ({"state": "active"}, {"plain", "web", "pinned"}),
        ({"state": "archived"}, {"archived"}),
        ({"state": "deleted"}, {"trash", "archived trash"}),
        ({"state": "all"}, {"plain", "web", "pinned", "archived", "trash", "archived trash"}),
        ({"platform": "web"}, {"web", "archived"}),
        ({"platform": "web", "state": "all"}, {"web", "archived", "trash"}),
        ({"tag": ["a", "b"]}, {"web"}),
        ({"tag": "a"}, {"web", "pinned"}),
        ({"pinned": "true"}, {"pinned"}),
        ({"metadata.n": "5"}, {"web"}),
        ({"metadata.n": "6"}, set()),
        ({"created_after": middle}, {"pinned", "archived"}),
        ({"created_before": middle}, {"plain"}),
        ({"active_after": middle, "tag": "a"}, {"pinned"}),
    ):
        found = await lines(me, **query)
        assert {one["key"] for one in of("chat", found)} == keys, query
        assert [one["chat_id"] for one in of("chat", found)] == sorted(chats[key] for key in keys)
        listed = ok(await me.get("/chats", params=query))["items"]
        # A list without a state leaves the archived ones out; an export must not.
        assert {one["key"] for one in listed} == (keys if "state" in query else keys - {"archived"})


async def test_a_deleted_chat_is_exported_with_the_trash_only(me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:k", json={"conversation": CONVERSATION}))
    ok(await me.delete("/chats/key:k"))
    problem(await me.get("/chats/key:k/export"), 404)
    found = await lines(me, state="deleted")
    assert of("chat", found)[0]["deleted_at"]
    assert found[-1] == {"record": "end", "chats": 1, "messages": 5}


async def test_an_archived_chat_is_exported_with_since_when(me: httpx2.AsyncClient, admin: Json, app: FastAPI) -> None:
    chat = ok(await me.put("/chats/key:k", json={"is_archived": True, "conversation": CONVERSATION}))
    (one,) = of("chat", await lines(me))
    assert one["archived_at"] == chat["archived_at"]
    assert "is_archived" not in one
    assert ok(await me.get("/chats/key:k/export"))["conversation"]["archived_at"] == chat["archived_at"]
    async with acting(app, admin) as nobody:
        queries: list[tuple[Json, bool]] = [({}, True), ({"state": "archived"}, True), ({"state": "active"}, False)]
        for query, there in queries:
            for scope in ({"user_id": me.headers["X-User-Id"]}, {"all_users": "true"}):
                found = of("chat", await lines(nobody, **scope, **query))
                assert (chat["chat_id"] in [one["chat_id"] for one in found]) == there


async def test_an_answer_in_progress(me: httpx2.AsyncClient) -> None:
    begun = ok(await me.post("/chats/key:k/messages", json={"role": "assistant", "status": "in_progress"}))
    path = f"/chats/key:k/messages/{begun['message_id']}"
    (one,) = of("message", await lines(me))
    assert (one["content"], one["status"]) == ("", "incomplete")
    ok(await me.post(f"{path}/complete", json={"content": "So far."}))
    (one,) = of("message", await lines(me))
    assert (one["content"], one["status"]) == ("So far.", "completed")


async def test_whose_chats(app: FastAPI, me: httpx2.AsyncClient, admin: Json, make_user: Any, as_user: Any) -> None:
    other = make_user()
    mine = me.headers["X-User-Id"]
    async with acting(app, as_user(other)) as them, acting(app, admin) as nobody:
        ok(await me.put("/chats/key:mine", json={"conversation": CONVERSATION}))
        ok(await them.put("/chats/key:theirs", json={"conversation": CONVERSATION}))
        assert [one["key"] for one in of("chat", await lines(me))] == ["mine"]
        # An administrator sees what another user has, and what all have.
        assert [one["key"] for one in of("chat", await lines(nobody, user_id=other))] == ["theirs"]
        everybody = of("chat", await lines(nobody, all_users="true"))
        assert {(one["user_id"], one.get("key")) for one in everybody} >= {(mine, "mine"), (other, "theirs")}
        assert all("user_id" not in one for one in of("chat", await lines(me)))
        header, *rows = table((await nobody.get("/export?format=csv&all_users=true")).content)
        assert header[0] == "user_id"
        assert {mine, other} <= {row[0] for row in rows}
        problem(await nobody.get("/export"), 400)
        problem(await nobody.get("/export?all_users=true&user_id=x"), 400)
        key = ok(await nobody.post("/admin/api-keys", json={"name": "k", "user_id": mine, "scopes": ["chats:read"]}))
        headers = {"Authorization": f"Bearer {key['key']}"}
        async with acting(app, headers) as reader:
            assert [one["key"] for one in of("chat", await lines(reader))] == ["mine"]
            assert [one["key"] for one in of("chat", await lines(reader, user_id=mine))] == ["mine"]
            problem(await reader.get("/export", params={"user_id": other}), 403)
            problem(await reader.get("/export?all_users=true"), 403)
            problem(await reader.get("/chats/key:theirs/export"), 404)


async def test_what_is_refused(me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:k", json={}))
    for path in ("/export", "/chats/key:k/export"):
        for query in ("format=xml", "format=", "format=JSON", "format=json%00", "format=../json"):
            problem(await me.get(f"{path}?{query}"), 422)
    for query in ("state=x", "pinned=x", "created_after=yesterday", "user_id=", "all_users=x", "platform=%00"):
        problem(await me.get(f"/export?{query}"), 422)
    problem(await me.get('/export?metadata.a"=1'), 400)
    problem(await me.get("/chats/key:absent/export"), 404)


async def test_codings(me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:k", json={"conversation": CONVERSATION}))
    plain = await me.get("/chats/key:k/export", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted, coding in (
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("", None),
        ("br", None),
    ):
        request = me.build_request("GET", "/chats/key:k/export", headers={"Accept-Encoding": accepted})
        response = await me.send(request, stream=True)
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
        assert response.headers.get("content-encoding") == coding
        assert response.headers["vary"] == "Accept-Encoding"
        decode: Any = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}[coding]
        body = decode(raw)
        assert body == plain.content


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0.5, zstd;q=0.8", "zstd"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "gzip"),
        ("*;q=0", "identity"),
        ("identity;q=0, *;q=0", "identity"),
        ("br, deflate", "identity"),
        ("gzip;q=x", "identity"),
        ("gzip;q=2", "identity"),
        (",,;q=1,;", "identity"),
        ("gzip ; Q=0.3 , zstd ; q=0.2", "gzip"),
    ],
)
def test_the_coding_is_the_one_wanted_most(header: str | None, coding: str) -> None:
    assert negotiate_encoding(header) == coding


@pytest.mark.parametrize(
    ("coding", "reader"), [("gzip", lambda: zlib.decompressobj(31)), ("zstd", zstd.ZstdDecompressor)]
)
def test_what_was_sent_of_a_compressed_file_can_be_read_before_its_end(coding: str, reader: Any) -> None:
    encoder, decoder = COMPRESSORS[coding](), reader()
    for text in (b"x" * 1000, b"y" * 1000):
        assert decoder.decompress(encoder.compress(text)) == text
    # What has no end is seen to be broken.
    assert not decoder.eof
    decoder.decompress(encoder.finish())
    assert decoder.eof


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Eggs", 'attachment; filename="Eggs.json"'),
        (None, 'attachment; filename="chat.json"'),
        ("", 'attachment; filename="chat.json"'),
        ("Spiegel Ei", "attachment; filename=\"Spiegel-Ei.json\"; filename*=UTF-8''Spiegel%20Ei.json"),
        ("Über", "attachment; filename=\"Uber.json\"; filename*=UTF-8''%C3%9Cber.json"),
        ("鸡蛋", "attachment; filename=\"chat.json\"; filename*=UTF-8''%E9%B8%A1%E8%9B%8B.json"),
        (
            'a"b\r\nSet-Cookie: x=1',
            "attachment; filename=\"a-b-Set-Cookie-x-1.json\"; filename*=UTF-8''a%20b%20Set-Cookie%20x%3D1.json",
        ),
        ("../../etc/passwd", "attachment; filename=\"etc-passwd.json\"; filename*=UTF-8''etc%20passwd.json"),
        ("C:\\a", "attachment; filename=\"C-a.json\"; filename*=UTF-8''C%20a.json"),
        (".", 'attachment; filename="chat.json"'),
        ("..", 'attachment; filename="chat.json"'),
        ("con", 'attachment; filename="chat.json"'),
        ("\u202etxt.exe", 'attachment; filename="txt.exe.json"'),
        ("x" * 500, f'attachment; filename="{"x" * 100}.json"'),
        ("a%22b;c", "attachment; filename=\"a-22b-c.json\"; filename*=UTF-8''a%2022b%20c.json"),
    ],
)
def test_what_a_download_is_called(name: str | None, header: str) -> None:
    assert attachment_header(name, "chat", "json") == header


async def test_downloads_have_names(me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:a:b", json={}))
    response = await me.get("/chats/key:a:b/export")
    assert response.headers["content-disposition"].startswith('attachment; filename="a-b.json"')
    ok(await me.patch("/chats/key:a:b", json={"title": 'x"\r\nY: z'}))
    response = await me.get("/chats/key:a:b/export?format=html")
    assert response.headers["content-disposition"].startswith('attachment; filename="x-Y-z.html"')
    assert "y" not in response.headers
    response = await me.get("/export")
    assert response.headers["content-disposition"].startswith('attachment; filename="chatkeep-export-20')
    assert response.headers["content-disposition"].endswith('.jsonl"')


async def test_no_more_than_a_few_at_once(app: FastAPI, me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:k", json={"conversation": CONVERSATION}))
    running: set[Any] = app.state.services.exports._running
    held = {object() for _ in range(MAX_JOBS)}
    running.update(held)
    try:
        details = await me.get("/export")
        assert problem(details, 503)
        assert details.headers["retry-after"]
    finally:
        running.difference_update(held)
    assert len(await lines(me)) == 8
