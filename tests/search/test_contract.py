"""The same query gives the same messages in the same order on both databases: those that the reference finds."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.errors import BadRequest
from app.search import bucket_allocation
from app.search.query_parser import matches, parse
from app.search.tokenizer import tokenize
from tests.callers import Json, ok
from tests.profiles import examples
from tests.search.both import Both, both
from tests.search.texts import TEXTS as ANY_TEXT
from tests.servers.databases import Databases

CHATS = {
    "Eggs": "How long they boil",
    "Café": "¿Dónde está el café?",
    "数据库": "怎样备份一个数据库",
    "": "",
    "Reise nach Zürich": "Die Straße, der Fluß",
}
TEXTS = [
    "How long does a soft egg boil?",
    "A soft-boiled egg takes six minutes; a hard one takes nine.",
    "Eggs, eggs, eggs: soft eggs and hard eggs, boiled eggs and fried eggs.",
    "The egg came first, then the soft one.",
    "¿Dónde está el café? El café está aquí.",
    "Un cafe solo, por favor. Naïve façade, CAFÉ!",
    "我们的数据库在哪里？数据库需要备份。",
    "今天天气很好，我们去公园吧",
    "東京都に住んでいます。データベースのバックアップ",
    "カタカナとひらがな、半角ｶﾀｶﾅ",
    "데이터베이스를 백업하세요. 오늘 날씨가 좋네요",
    "ฐานข้อมูลของเราอยู่ที่ไหน สวัสดีครับ",
    "שלום עולם, איפה מסד הנתונים? שָׁלוֹם",
    "أين قاعدة البيانات؟ مَرْحَبًا بالعالم",
    "डेटाबेस कहाँ है? नमस्ते दुनिया",
    "Где база данных? Ёлка и елка. Привет, мир!",
    "Πού είναι η βάση δεδομένων; ΚΑΛΗΜΕΡΑ",
    "Die Straße ist lang. STRASSE. Zürich, ZURICH, Zuerich",
    "snake_case and kebab-case, user@example.com, https://example.com/a?b=c&d=e",
    "C++ and C#, 3.14159, 1,000,000, ½ and ²",
    "O'Brien said: don't! \"Quoted\" 'single' \\ backslash % percent _ underscore",
    "'; DROP TABLE documents; -- \" OR 1=1 NEAR(egg soft) egg*",
    "<script>alert('egg')</script> <b>soft</b> &amp; egg",
    "🥚🍳 egg emoji 👩‍🍳 cook",
    "a a a a b a b a",
    "soft soft egg soft egg egg",
    "OR AND NOT or and not",
    "",
    "   ",
    "!!! ??? ...",
    "x" * 200 + " " + "y" * 64,
    "ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３ ﬁne ﬂow",
    "mixed 中文 and English 混合text文字",
    "tab\tnew\nline\u2028sep\u00a0nbsp",
]
ROLES = ["user", "assistant"]


def timestamp(number: int) -> str:
    """Some share one, and they are not in the order in which they were written."""
    return f"2026-01-{1 + number * 7 % 28:02}T12:00:{number % 10:02}.000001Z"


MESSAGES: dict[str, list[Json]] = {
    title: [
        {"role": ROLES[number % 2], "content": text, "created_at": timestamp(number + index)}
        for number, text in enumerate(TEXTS)
        if (number + index) % 3
    ]
    for index, title in enumerate(CHATS)
}


def document(text: str) -> str:
    return f" {' '.join(tokenize(text))} "


DOCUMENTS = {
    (title or None, seq): document(str(message["content"]))
    for title, messages in MESSAGES.items()
    for seq, message in enumerate(messages, 1)
} | {(title or None, 0): document(f"{title}\n{summary}") for title, summary in CHATS.items()}


@pytest.fixture(scope="module")
async def services(
    databases: Databases, admin: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Both]:
    """Both services with the corpus, in many small buckets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_allocation, "BUCKET_SIZE", 7)
        headers = admin | {"X-User-Id": "ann"}
        async with both(databases, headers, tmp_path_factory.mktemp("data")) as services:
            for number, (title, summary) in enumerate(CHATS.items()):
                chat = {"key": str(number), "title": title or None, "summary": summary or None}
                await services.write(chat, MESSAGES[title])
            yield services


async def assert_agreement(services: Both, q: str) -> None:
    """Fails unless both find what the reference finds, in one order, with any length of page."""
    try:
        query = parse(q)
    except BadRequest:
        for client in services.clients:
            assert (await client.get("/search", params={"q": q})).status_code == 400
        return
    expected = {key for key, words in DOCUMENTS.items() if matches(query, words)}
    best = await services.hits(q)
    newest = await services.hits(q, order="newest")
    assert len(best) == len(newest) == len(expected), q
    assert {*best} == {*newest} == expected, q
    if len(expected) > 2:
        assert await services.hits(q, limit=2) == best, q
        assert await services.hits(q, limit=2, order="newest") == newest, q


QUERIES = [
    "egg",
    "eggs",
    "egg*",
    "soft egg",
    '"soft egg"',
    '"egg soft"',
    "soft-boiled",
    '"soft boiled" egg',
    "soft OR hard",
    "soft OR hard egg",
    "egg -soft",
    'egg -"soft egg"',
    "-soft egg -hard",
    "egg -eggs*",
    "cafe",
    "CAFÉ",
    "¿Dónde?",
    "donde está",
    "数据",
    "数据库",
    "库",
    "备份",
    "東京",
    "データ",
    "ｶﾀｶﾅ",
    "데이터",
    "백업",
    "ข้อมูล",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "елка",
    "καλημερα",
    "strasse",
    "fluss OR zurich",
    "snake_case",
    "example.com",
    "c++",
    "3.14159",
    "o'brien",
    "don't",
    "drop table",
    "script",
    "🥚",
    "a a a",
    '"a b a"',
    "not",
    '"OR AND"',
    "x" * 64,
    "x" * 65,
    "y" * 64 + "*",
    "abc 123",
    "fine",
    "中文",
    "text文",
    "混合text",
    "one OR two OR three OR egg",
    "e* -egg*",
    "zzz",
    '"',
    "*",
    "-",
    '"egg',
    "egg* soft*",
    '"soft eg*"',
    '"soft eg"*',
]


@pytest.mark.parametrize("q", QUERIES)
async def test_written_queries(services: Both, q: str) -> None:
    await assert_agreement(services, q)


WORDS = sorted({word for words in DOCUMENTS.values() for word in words.split()})
PIECES = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS).map(lambda word: word[: max(1, len(word) // 2)] + "*"),
    st.sampled_from([" ".join(words.split()[start : start + 3]) for words in DOCUMENTS.values() for start in range(4)])
    .filter(bool)
    .map(lambda words: f'"{words}"'),
    st.sampled_from(TEXTS)
    .filter(bool)
    .flatmap(lambda text: st.integers(0, len(text) - 1).map(lambda start: text[start:][:12])),
    st.sampled_from(["OR", "AND", "-", '"', "*", "(", ")", "NOT", "'", "\\", "NEAR", "{", ":", "^", "!", "&", "|"]),
    ANY_TEXT,
)
ASKED = st.lists(st.tuples(st.sampled_from(["", "", "", "-"]), PIECES).map("".join), min_size=1, max_size=5).map(
    " ".join
)


@examples(fast=25, all=400)
@given(q=ASKED)
async def test_made_up_queries(services: Both, q: str) -> None:
    await assert_agreement(services, q)


@examples(fast=15, all=100)
@given(texts=st.lists(ANY_TEXT.filter(lambda text: bool(tokenize(text))), min_size=1, max_size=4))
async def test_what_is_appended_is_found_by_each_of_its_words(services: Both, texts: list[str]) -> None:
    for client in services.clients:
        chat = ok(
            await client.post("/chats", json={"conversation": [{"role": "user", "content": text} for text in texts]})
        )
        for seq, text in enumerate(texts, 1):
            for word in dict.fromkeys(tokenize(text)):
                page = ok(await client.get("/search", params={"q": f'"{word}"', "chat": chat["chat_id"], "limit": 200}))
                assert seq in [hit["seq"] for hit in page["items"]], (text, word)
                for hit in page["items"]:
                    assert matches(parse(f'"{word}"'), document(texts[hit["seq"] - 1]))
        ok(await client.delete(f"/chats/{chat['chat_id']}", params={"hard": "true"}))
