"""`client.changes` and `client.events`."""

import itertools
import time

import pytest

from chatkeep import BadRequest, Chatkeep, ConnectionFailed, InvalidCursor, Unauthorized
from tests.blocking import open_client
from tests.conftest import Service
from tests.proxy import Fault, Proxy

HELLO = {"role": "user", "content": "How do I boil an egg?"}


def test_changes_are_read_in_order(client: Chatkeep) -> None:
    begin = client.changes.page(since="now")
    assert (begin.items, begin.has_more) == ([], False)
    chat = client.chats.create(key="c", conversation=[HELLO])
    client.messages.append("key:other", HELLO)
    changes = list(client.changes.list(since=begin.cursor, limit=1))
    assert [change.type for change in changes] == ["chat.created", "message.appended"] * 2
    assert changes[0].chat
    assert changes[0].chat.chat_id == chat.chat_id
    assert changes[1].message
    assert changes[1].message.content == HELLO["content"]
    assert [change.type for change in client.changes.list(chat="key:c")] == ["chat.created", "message.appended"]
    assert list(client.changes.list(since=changes[-1].cursor)) == []
    with pytest.raises(InvalidCursor):
        client.changes.page(since="damaged")


def test_changes_are_followed(client: Chatkeep) -> None:
    client.messages.append("key:c", HELLO)
    with client.events.follow(since=client.changes.page(since="now").cursor) as feed:
        client.messages.append("key:c", HELLO | {"content": "x" * 2_000_000})
        change = next(feed)
        assert change.message
        assert len(str(change.message.content)) == 2_000_000
        assert feed.cursor == change.cursor
        client.messages.clear("key:c")
        assert [change.type for change in itertools.islice(feed, 1)] == ["messages.cleared"]
    with client.events.follow(since=change.cursor, chat="key:c") as feed:
        assert next(feed).last_seq == 2


def test_a_ticket_for_a_browser(client: Chatkeep) -> None:
    assert client.events.ticket().ticket != client.events.ticket().ticket


def test_what_is_refused_is_raised(client: Chatkeep, service: Service) -> None:
    with pytest.raises(InvalidCursor), client.events.follow(since="damaged") as feed:
        next(feed)
    with open_client("sync", service.url, "ck_none", None) as stranger, pytest.raises(Unauthorized):
        next(stranger.events.follow())
    with pytest.raises(BadRequest):
        next(client.with_user(None).events.follow())


@pytest.mark.usefixtures("quick")
def test_a_feed_that_is_cut_misses_nothing_and_tells_nothing_twice(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        begin = client.changes.page(since="now").cursor
        client.messages.append("key:c", [HELLO | {"content": str(number)} for number in range(50)])
        proxy.faults += [Fault(answer_bytes=size) for size in (100, 700, 1500, 6000)]
        proxy.faults += [Fault(refused=True), Fault(lost=False, says=(502, {}))]
        contents: list[object] = []
        with client.events.follow(since=begin) as feed:
            for change in feed:
                if change.message:
                    contents.append(change.message.content)
                if len(contents) == 50:
                    break
        assert contents == [str(number) for number in range(50)]
        ids = [request.headers.get("last-event-id") for request in proxy.seen if request.path.startswith("/events")]
        assert len(ids) == 7
        assert len(set(ids)) >= 4


@pytest.mark.usefixtures("quick")
def test_a_feed_gives_up_in_the_end(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        client.messages.append("key:c", [HELLO] * 50)
        proxy.faults += [Fault(answer_bytes=3000), *[Fault(refused=True)] * 1000]
        begun = time.monotonic()
        with client.events.follow(since="start", give_up_after=0.5) as feed, pytest.raises(ConnectionFailed):
            list(feed)
        assert feed.cursor
        assert time.monotonic() - begun >= 0.5
