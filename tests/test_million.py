"""What the benchmarks measure on is what the service would have written: it recounts alike, and is found."""

from bench.million import fill, index, wait_for_index
from tests.cli.commands import on_database

USERS = 5


def test_made_up_messages_are_as_the_service_would_have_written_them(empty_database_url: str) -> None:
    made = fill(empty_database_url, messages=3000, users=USERS)
    command = on_database(empty_database_url)
    index(empty_database_url)
    assert wait_for_index(empty_database_url, limit=0) < 5
    recounted = command.json("check")
    assert recounted == {"ok": True, "users": USERS, "messages": 3000, "not_indexed": 0, "found": 0, "differences": []}
    user = made.users[0]
    for word in (*made.rare[user][:3], made.common[user][-1]):
        page = command.json("search", word.text, "--user", user, "--limit", "200")
        assert len(page["items"]) == word.messages, word
