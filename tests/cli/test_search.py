"""`chatkeep search`: what it finds is what the API finds, and looks safe on a terminal."""

import httpx2
import pytest

from app.cli.search import marked
from tests.callers import ok
from tests.cli.commands import Command, good, refused

pytestmark = pytest.mark.any_database


def test_what_is_found(command: Command, api: httpx2.Client, ann: str) -> None:
    chat = {"title": "Break\x1b[2Jfast", "conversation": [{"role": "user", "content": "A <soft>\x1b]0; egg\nor two"}]}
    chat_id = ok(api.post("/chats", json=chat))["chat_id"]
    ok(api.post("/chats", json={"conversation": [{"role": "user", "content": "a hard egg"}]}))
    page = command.json("search", "egg -hard", "--user", ann)
    assert page == ok(api.get("/search", params={"q": "egg -hard"}))
    assert [(hit["chat_id"], hit["seq"]) for hit in page["items"]] == [(chat_id, 1)]
    heading, snippet = good(command("search", "egg -hard", "--user", ann)).stdout.splitlines()
    assert heading.startswith(f"Break�[2Jfast {chat_id} 1 user ")
    assert snippet == "A <soft>�]0; egg or two"


def test_filters_and_pages(command: Command, api: httpx2.Client, ann: str) -> None:
    for platform in ("web", "slack", "slack"):
        ok(api.post("/chats", json={"platform": platform, "conversation": [{"role": "user", "content": "an egg"}]}))
    first = command.json("search", "egg", "--user", ann, "--platform", "slack", "--limit", "1", "--order", "newest")
    rest = ("search", "egg", "--user", ann, "--platform", "slack", "--order", "newest", "--limit", "1")
    second = command.json(*rest, "--cursor", first["next_cursor"])
    assert first["items"] != second["items"]
    assert (len(second["items"]), second["next_cursor"]) == (1, None)
    assert f"--cursor {first['next_cursor']}" in command(*rest).stderr


def test_nothing_is_found(command: Command, ann: str) -> None:
    done = good(command("search", "egg", "--user", ann))
    assert (done.stdout, done.stderr) == ("", "Nothing has these words.\n")
    refused(command("search", "--user", ann, "--", "-egg"), "Bad request (400)")
    refused(command("search", "egg", "--user", ann, "--chat", "key:none"), "(404)")


@pytest.mark.parametrize(
    ("snippet", "text", "matches"),
    [
        ("no match", "no match", []),
        ("a <mark>b</mark> &lt;c&gt; <mark>d</mark>", "a b <c> d", ["b", "d"]),
        ("&lt;mark&gt;not this&lt;/mark&gt; <mark>&amp;</mark>", "<mark>not this</mark> &", ["&"]),
        ("one\nline\t\x9b1m", "one line �1m", []),
    ],
)
def test_matches_are_marked(snippet: str, text: str, matches: list[str]) -> None:
    shown = marked(snippet)
    assert shown.plain == text
    assert [shown.plain[span.start : span.end] for span in shown.spans] == matches
