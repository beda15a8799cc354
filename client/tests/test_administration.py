"""`client.search`, `client.stats`, `client.api_keys` and `client.health`."""

from datetime import UTC, date, datetime, timedelta

import pytest

from chatkeep import BadRequest, Chatkeep, Forbidden, Unauthorized
from tests.blocking import open_client
from tests.conftest import Service

EGGS = [
    {"role": "user", "content": "How do I boil an egg?", "input_tokens": 12},
    {"role": "assistant", "content": "Boil it.", "model": "gpt-5", "output_tokens": 9},
]


def test_a_search_goes_through_its_pages(client: Chatkeep) -> None:
    chat = client.chats.create(key="c", title="To boil", tags=["a", "b"], platform="web", conversation=EGGS * 3).chat_id
    hits = list(client.search("boil*", order="newest", limit=2))
    assert [hit.kind for hit in hits].count("chat") == 1
    assert len(hits) == 7
    assert {hit.chat_id for hit in hits} == {chat}
    assert "<mark>" in hits[0].snippet
    assert len(list(client.search("boil", chat="key:c", role="user", tag=["a", "b"], platform="web"))) == 3
    assert list(client.search("boil", after=datetime.now(UTC) + timedelta(minutes=1))) == []
    page = client.search_page("boil", limit=1)
    assert page.next_cursor
    assert client.search_page("boil", limit=1, cursor=page.next_cursor).items != page.items
    with pytest.raises(BadRequest):
        client.search_page("-boil")


def test_statistics(client: Chatkeep, user: str) -> None:
    client.chats.create(conversation=EGGS, platform="web")
    stats = client.stats.totals()
    assert (stats.total_conversations, stats.total_messages, stats.total_tokens) == (1, 2, 21)
    assert stats.by_model[0].messages == 1
    assert {counts.role for counts in stats.by_role} == {"user", "assistant"}
    assert stats.by_platform[0].conversations == 1
    admin = client.with_user(None)
    assert admin.stats.totals(user_id=user).total_messages == 2
    assert (admin.stats.totals(all_users=True).total_users or 0) >= 1
    today = datetime.now(UTC).date()
    series = client.stats.daily(from_=today - timedelta(days=1), to=today, tz="UTC")
    assert [step.messages for step in series.items] == [0, 2]
    assert series.items[0].start.date() == today - timedelta(days=1)
    assert client.stats.daily(from_=date(2026, 1, 1), to="2026-01-14", by="week").by == "week"
    assert admin.stats.top(by="chats", limit=200)
    assert admin.stats.storage().tables


def test_api_keys(client: Chatkeep, service: Service, user: str) -> None:
    expires_at = datetime.now(UTC) + timedelta(days=1)
    created = client.api_keys.create(f"of {user}", ["chats:read"], user_id=user, expires_at=expires_at)
    assert created.key not in repr(created)
    assert client.api_keys.get(created.key_id).expires_at == expires_at
    assert created.key_id in [key.key_id for key in client.api_keys.list(limit=1)]
    assert client.api_keys.page(limit=200).items
    with open_client("sync", service.url, created.key, None) as own:
        assert list(own.chats.list()) == []
        with pytest.raises(Forbidden):
            own.chats.create()
        with pytest.raises(Forbidden):
            list(own.with_user("somebody").chats.list())
        client.api_keys.revoke(created.key_id)
        client.api_keys.revoke(created.key_id)
        with pytest.raises(Unauthorized):
            list(own.chats.list())
    assert client.api_keys.get(created.key_id).revoked_at


def test_health(client: Chatkeep) -> None:
    assert client.health.alive().status == "ok"
    assert client.health.ready().status == "ready"


@pytest.mark.parametrize("name", ["jörg", "a/b %2F", "日本 🥚", "k=v&a,b;c"])
def test_a_user_may_be_called_anything(client: Chatkeep, user: str, name: str) -> None:
    other_client = client.with_user(f"{name} {user}")
    assert other_client.user_id == f"{name} {user}"
    assert other_client.chats.create().user_id == f"{name} {user}"
    assert list(client.chats.list()) == []
    other_client.close()
    assert len(list(other_client.chats.list())) == 1
