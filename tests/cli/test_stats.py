"""`chatkeep stats`: what it shows is what the API says."""

import httpx2

from tests.callers import ok
from tests.cli.commands import Command, good, refused

MESSAGES = [
    {"role": "user", "content": "How do I boil an egg?", "created_at": "2026-01-31T12:00:00Z"},
    {
        "role": "assistant",
        "content": "Eight minutes.",
        "model": "gpt-5",
        "tokens": 1234567,
        "created_at": "2026-01-31T12:00:04Z",
    },
]


def test_totals(command: Command, api: httpx2.Client, ann: str) -> None:
    ok(api.post("/chats", json={"platform": "we\x1b[31mb", "conversation": MESSAGES}))
    totals = command.json("stats", "--user", ann)
    assert totals == ok(api.get("/stats"))
    assert totals["total_messages"] == 2
    text = good(command("stats", "--user", ann)).stdout
    rows = [line.split() for line in text.splitlines()]
    assert ["total", "tokens", "1,234,567"] in rows
    assert ["gpt-5", "1", "0", "0", "1,234,567"] in rows
    # Nobody's words may steer the terminal.
    assert "\x1b" not in text
    everybody = command.json("stats", "--all")
    assert everybody["total_users"] >= 1
    assert everybody["total_messages"] >= 2


def test_a_series(command: Command, api: httpx2.Client, ann: str) -> None:
    ok(api.post("/chats", json={"conversation": MESSAGES}))
    asked = ("--from", "2026-01-30", "--to", "2026-02-01", "--tz", "Asia/Tokyo")
    series = command.json("stats", "--user", ann, "--daily", *asked)
    assert series == ok(api.get("/stats/daily", params={"from": asked[1], "to": asked[3], "tz": asked[5]}))
    rows = [line.split() for line in good(command("stats", "--user", ann, "--daily", *asked)).stdout.splitlines()]
    assert rows[2][:3] == ["2026-01-31", "0", "2"]
    hours = command.json("stats", "--user", ann, "--daily", "--by", "hour", *asked)
    assert len(hours["items"]) == 72


def test_top_and_storage(command: Command, api: httpx2.Client, ann: str) -> None:
    ok(api.post("/chats", json={"conversation": MESSAGES}))
    top = command.json("stats", "--top", "--by", "tokens", "--limit", "200")
    assert ann in [one["user_id"] for one in top["items"]]
    assert ann in good(command("stats", "--top", "--limit", "200")).stdout
    tables = {one["name"] for one in command.json("stats", "--storage")["tables"]}
    assert {"chats", "messages"} <= tables
    assert "messages" in good(command("stats", "--storage")).stdout


def test_what_does_not_go_together(command: Command, ann: str) -> None:
    refused(command("stats", "--top", "--storage"), "one at a time", code=2)
    refused(command("stats", "--all", "--tz", "UTC"), "--tz", code=2)
    refused(command("stats", "--user", ann, "--daily", "--tz", "Mars/Base"), "Bad request (400)", "tz")
