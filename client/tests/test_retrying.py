"""Calls that are sent again: when, how often, after how long, and with one effect."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from chatkeep import Chatkeep, ChatkeepError, ConnectionFailed, ServerError, TooManyRequests, Unavailable
from chatkeep.retries import Attempts, Reconnection, backoff, retry_after
from tests.conftest import Service
from tests.proxy import Fault, Proxy

HELLO = {"role": "user", "content": "Hello"}
NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 3 ", 3.0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Sat, 31 Jan 2026 11:59:00 GMT", 0.0),
        ("Sat, 31 Jan 2026 12:00:30 -0000", 30.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ],
)
def test_what_an_answer_asks_to_wait(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}, lambda: NOW) == seconds


def test_waits_double_up_to_a_limit_and_are_never_alike() -> None:
    for failures, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (10_000, 8.0)):
        waits = {backoff(failures) for _ in range(100)}
        assert len(waits) > 50
        assert longest / 2 <= min(waits) < max(waits) <= longest


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    attempts = Attempts(2, retryable=True)
    assert [attempts.after_response(status, {}) is not None for _ in range(3)] == [True, True, False]
    assert Attempts(2, retryable=True).after_response(status, {"retry-after": "30"}) == 30.0
    assert Attempts(2, retryable=True).after_response(status, {"retry-after": "61"}) is None
    assert (Attempts(2, retryable=False).after_response(status, {}) is not None) == (status == 429)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 412, 413, 415, 422, 500, 501, 507])
def test_what_will_not_pass_is_not(status: int) -> None:
    assert Attempts(2, retryable=True).after_response(status, {}) is None


def test_what_may_do_harm_is_tried_again_only_if_it_was_not_begun() -> None:
    assert Attempts(1, retryable=False).after_failure(may_have_arrived=True) is None
    assert Attempts(1, retryable=False).after_failure(may_have_arrived=False) is not None
    assert Attempts(0, retryable=True).after_failure(may_have_arrived=True) is None


def test_a_stream_is_given_up_after_a_silence() -> None:
    now = 0.0
    reconnection = Reconnection(10, lambda: now)
    assert reconnection.wait() is not None
    now = 9.0
    assert reconnection.wait() is not None
    reconnection.received(3000)
    now = 18.0
    assert reconnection.wait() == 3.0
    assert reconnection.wait({"retry-after": "20"}) == 20.0
    now = 28.0
    assert reconnection.wait() is None


FATES = [
    Fault(refused=True),
    Fault(lost=True),
    Fault(answer_bytes=10),
    Fault(answer_bytes=300),
    Fault(body_bytes=5),
    *(Fault(says=(status, {"Retry-After": "0"})) for status in (408, 429, 502, 503, 504)),
]


@pytest.mark.usefixtures("quick")
def test_whatever_fails_a_write_has_one_effect(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        for number, fault in enumerate(FATES, 1):
            proxy.faults += [fault, Fault(lost=True)]
            proxy.seen.clear()
            message = client.messages.append("key:c", HELLO | {"content": str(number)})
            assert message.seq == number
            keys = [request.headers["idempotency-key"] for request in proxy.seen]
            assert len(keys) == 3
            assert len(set(keys)) == 1
        assert [message.content for message in client.messages.list("key:c")] == [
            str(n) for n in range(1, len(FATES) + 1)
        ]


@pytest.mark.usefixtures("quick")
def test_every_kind_of_write_has_one_effect(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:

        def lost() -> None:
            proxy.faults.append(Fault(lost=True))

        lost()
        chat = client.chats.create(conversation=[HELLO] * 3)
        lost()
        assert [message.seq for message in client.messages.append(chat.chat_id, [HELLO, HELLO])] == [4, 5]
        lost()
        popped = client.messages.pop(chat.chat_id)
        assert popped
        assert popped.seq == 5
        lost()
        turn = client.turns.take(chat.chat_id)
        lost()
        client.turns.renew(chat.chat_id, turn.token, seconds=100)
        lost()
        client.turns.release(chat.chat_id, turn.token)
        lost()
        client.feedback.put(chat.chat_id, 1, 1)
        lost()
        client.chats.fork(chat.chat_id, at=2)
        lost()
        client.chats.get_or_create("new")
        assert len(list(client.chats.list())) == 3
        assert client.chats.get(chat.chat_id).message_count == 4


@pytest.mark.usefixtures("quick")
def test_what_is_gone_when_its_deletion_is_sent_again_was_deleted(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        chat = client.chats.create(conversation=[HELLO] * 3).chat_id
        proxy.faults.append(Fault(lost=True))
        client.messages.delete(chat, 2)
        proxy.faults.append(Fault(lost=True))
        client.chats.delete(chat, hard=True)


@pytest.mark.usefixtures("quick")
def test_what_would_take_back_the_writes_of_others_is_not_sent_again(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        chat = client.chats.create(key="c", conversation=[HELLO]).chat_id
        writes: list[tuple[Any, dict[str, Any]]] = [
            (client.chats.patch, {"title": "A"}),
            (client.chats.replace, {"title": "A"}),
            (client.messages.clear, {}),
        ]
        for write, arguments in writes:
            for fault, error in (
                (Fault(lost=True), ConnectionFailed),
                (Fault(refused=True), ConnectionFailed),
                (Fault(says=(503, {})), Unavailable),
                (Fault(says=(502, {})), ServerError),
            ):
                proxy.faults.append(fault)
                proxy.seen.clear()
                with pytest.raises(error):
                    write(chat, **arguments)
                assert len(proxy.seen) == 1
            proxy.faults.append(Fault(says=(429, {"Retry-After": "0"})))
            write(chat, **arguments)
        proxy.faults.append(Fault(lost=True))
        with pytest.raises(ConnectionFailed):
            client.chats.delete("key:c", hard=True)


@pytest.mark.usefixtures("quick")
def test_it_is_tried_so_often_and_no_more(proxy: Proxy, user: str) -> None:
    for tries in (0, 1, 3):
        with proxy.client(user, max_retries=tries) as client:
            for fault, error in (
                (Fault(refused=True), ConnectionFailed),
                (Fault(says=(503, {})), Unavailable),
                (Fault(says=(429, {"Retry-After": "0"})), TooManyRequests),
            ):
                proxy.faults.extend([fault] * (tries + 1))
                proxy.seen.clear()
                with pytest.raises(error):
                    client.chats.page()
                assert len(proxy.seen) == tries + 1


def test_retry_after_is_waited_for(proxy: Proxy, user: str) -> None:
    with proxy.client(user) as client:
        proxy.faults.append(Fault(says=(503, {"Retry-After": "1"})))
        client.chats.page()
        assert proxy.seen[1].at - proxy.seen[0].at >= 1.0
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
        proxy.faults.append(Fault(says=(503, {"Retry-After": format_datetime(until, usegmt=True)})))
        client.chats.page()
        assert datetime.now(UTC) >= until
        proxy.faults.append(Fault(says=(503, {"Retry-After": "3600"})))
        with pytest.raises(Unavailable) as unavailable:
            client.chats.page()
        assert unavailable.value.retry_after == "3600"


@pytest.mark.usefixtures("quick")
def test_an_answer_that_does_not_come_in_time(proxy: Proxy, user: str) -> None:
    with proxy.client(user, timeout=0.5) as client:
        proxy.faults.append(Fault(delay=2.0))
        assert client.messages.append("key:c", HELLO).seq == 1
        assert len({request.headers["idempotency-key"] for request in proxy.seen}) == 1
        assert len(proxy.seen) == 2


def test_nobody_is_there(user: str) -> None:
    with Chatkeep("http://127.0.0.1:9", "ck_none", max_retries=0) as client, pytest.raises(ConnectionFailed):
        client.chats.get("key:c")


def test_what_can_never_be_sent_fails_at_once(service: Service) -> None:
    for url, key in (("ftp://127.0.0.1", "k"), (service.url, "ck\nInjected: 1")):
        with Chatkeep(url, key, max_retries=100) as client, pytest.raises(ConnectionFailed):
            client.chats.page()


@pytest.mark.usefixtures("quick")
def test_threads_that_share_a_client_write_each_message_once(service: Service, user: str) -> None:
    with Proxy(service.url, service.key, "sync") as proxy, proxy.client(user, max_retries=60) as client:
        proxy.faults += [Fault(), *[Fault(lost=True), Fault(refused=True), Fault()] * 20]
        errors: list[Exception] = []

        def write(number: int) -> None:
            try:
                one = client.with_user(f"{user}-{number % 2}")
                for count in range(10):
                    one.messages.append("key:c", HELLO | {"content": f"{number}.{count}"})
            except ChatkeepError as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        for half in range(2):
            messages = list(client.with_user(f"{user}-{half}").messages.list("key:c"))
            assert [message.seq for message in messages] == list(range(1, 31))
            assert len({str(message.content) for message in messages}) == 30
