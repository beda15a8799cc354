"""The clients themselves: where they find the service, what they leave behind, loops, threads and imports."""

import asyncio
import gc
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chatkeep import ApiError, AsyncChatkeep, BadRequest, Chatkeep, ChatkeepError, NotFound, UnexpectedAnswer, errors
from chatkeep.errors import api_error
from tests.conftest import Service
from tests.proxy import Fault, Proxy

HELLO = {"role": "user", "content": "Hello"}


def test_what_is_not_given_comes_from_the_environment(
    service: Service, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKEEP_URL", f"{service.url}/")
    monkeypatch.setenv("CHATKEEP_KEY", service.key)
    monkeypatch.setenv("CHATKEEP_USER", user)
    with Chatkeep() as client:
        assert client.chats.create().user_id == user
        assert (client.url, client.key, client.user_id) == (service.url, service.key, user)
        assert service.key not in repr(client) + repr(client._account)
    with Chatkeep(user_id=f"{user}-2") as client:
        assert client.chats.create().user_id == f"{user}-2"
    for missing in ("CHATKEEP_URL", "CHATKEEP_KEY"):
        monkeypatch.delenv(missing)
        with pytest.raises(ValueError, match=missing):
            Chatkeep(None if missing == "CHATKEEP_URL" else service.url)


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = (
        "httpx2",
        "httpcore2",
        "anyio",
        "ssl",
        "asyncio",
        "agents",
        "langchain_core",
        "pydantic_ai",
        "google.adk",
        "openai",
    )
    code = f"import sys, chatkeep; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_async_client_in_loops_one_after_the_other(service: Service, user: str) -> None:
    client = AsyncChatkeep(service.url, service.key, user_id=user)

    async def write() -> int:
        await client.messages.append("key:c", HELLO)
        return (await client.messages.append("key:c", HELLO)).seq

    # No loop closes the client, and none leaves a connection behind: warnings are errors.
    assert [asyncio.run(write()) for _ in range(3)] == [2, 4, 6]
    gc.collect()


def test_a_loop_that_goes_on_after_it_closed_its_generators(service: Service, user: str) -> None:
    client = AsyncChatkeep(service.url, service.key, user_id=user)
    loop = asyncio.new_event_loop()
    with warnings.catch_warnings():
        # The loop says that what begins from here on is not closed by it.
        warnings.simplefilter("ignore", ResourceWarning)
        assert loop.run_until_complete(client.messages.append("key:c", HELLO)).seq == 1
        loop.run_until_complete(loop.shutdown_asyncgens())
        assert loop.run_until_complete(client.messages.append("key:c", HELLO)).seq == 2
        loop.run_until_complete(client.aclose())
    loop.close()


def test_a_loop_that_is_gone_takes_its_connections_along(service: Service, user: str) -> None:
    client = AsyncChatkeep(service.url, service.key, user_id=user)
    for _ in range(5):
        asyncio.run(client.chats.get_or_create("c"))
    gc.collect()
    assert len(client._connection._pool._clients) <= 1


def test_one_async_client_in_loops_of_many_threads(service: Service, user: str) -> None:
    client = AsyncChatkeep(service.url, service.key, user_id=user)

    async def write() -> None:
        await asyncio.gather(*(client.messages.append("key:c", HELLO) for _ in range(5)))

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(asyncio.run, write()) for _ in range(6)]:
            done.result()

    async def count() -> int:
        async with client:
            return (await client.chats.get("key:c")).message_count

    assert asyncio.run(count()) == 30
    gc.collect()


async def test_many_calls_at_once(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        done = await asyncio.gather(*(client.messages.append("key:c", HELLO) for _ in range(50)))
        assert sorted(message.seq for message in done) == list(range(1, 51))


async def test_a_call_that_is_cancelled_leaves_the_client_as_it_was(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        feed = client.events.follow()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(feed)
        await feed.aclose()
        assert (await client.chats.get_or_create("c")).key == "c"


def test_what_is_not_read_to_its_end_leaves_nothing_behind(service: Service, user: str) -> None:
    async def begin() -> None:
        client = AsyncChatkeep(service.url, service.key, user_id=user)
        await client.messages.append("key:c", [HELLO] * 100)
        async for _ in client.messages.list("key:c", limit=10):
            break
        async for _ in client.export():
            break
        async for _ in client.events.follow(since="start"):
            break

    asyncio.run(begin())
    with Chatkeep(service.url, service.key, user_id=user) as client:
        next(client.messages.list("key:c", limit=10))
        next(client.events.follow(since="start"))
        next(iter(client.export()))
    gc.collect()


def test_closing_the_client_of_another_user_closes_nothing(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client:
        with client.with_user(f"{user}-2") as other:
            other.chats.create()
        other.chats.create()
        assert list(client.chats.list()) == []
    with pytest.raises(RuntimeError):
        client.chats.create()


def test_a_client_of_many_threads(service: Service, user: str) -> None:
    found: list[Any] = []
    with Chatkeep(service.url, service.key, user_id=user) as client:

        def write(number: int) -> None:
            found.extend(client.messages.append(f"key:{number % 3}", [HELLO] * 5) for _ in range(10))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(chat.message_count for chat in client.chats.list()) == 400
    assert len(found) == 80


def test_an_answer_of_something_else(service: Service, user: str) -> None:
    with Proxy(service.url, service.key, "sync") as proxy, proxy.client(user, max_retries=0) as client:
        for status in (200, 201, 204):
            proxy.faults.append(Fault(says=(status, {})))
            with pytest.raises(UnexpectedAnswer):
                client.chats.get("key:c")
        # A key is never sent to where a redirect points.
        proxy.faults.append(Fault(says=(307, {"Location": "http://127.0.0.1:9/"})))
        with pytest.raises(ApiError) as redirected:
            client.chats.get("key:c")
        assert redirected.value.status == 307
        assert len(proxy.seen) == 4


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, b'{"title": "Not found", "detail": "None.", "status": 404}', "NotFound", "404 Not found: None."),
        (400, b'{"type": "urn:chatkeep:problem:invalid-cursor"}', "InvalidCursor", "400 Status 400"),
        (502, b"<html>Bad gateway</html>", "ServerError", "502 Status 502"),
        (418, b"[1]", "ApiError", "418 Status 418"),
        (507, b"\xff", "StorageFull", "507"),
        (422, b'{"title": "T", "errors": [{"loc": ["body", 0], "msg": "no"}]}', "Unprocessable", "422 T (body.0: no)"),
        (422, b'{"errors": [5, {"loc": 5}]}', "Unprocessable", "422"),
    ],
)  # fmt: skip
def test_every_error_has_its_class(status: int, body: bytes, kind: str, text: str) -> None:
    error = api_error(status, {"x-request-id": "r"}, body)
    assert type(error) is getattr(errors, kind)
    assert isinstance(error, ChatkeepError)
    assert text in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problem, again.request_id) == (str(error), error.problem, "r")


def test_every_api_error_the_service_has_a_class(service: Service) -> None:
    document = (errors.__doc__ or "").split()
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, ChatkeepError):
            assert name in document


def test_the_same_error_by_its_class(service: Service) -> None:
    with Chatkeep(service.url, service.key) as client:
        with pytest.raises(BadRequest):
            client.chats.page()
        with pytest.raises(NotFound), client.with_user("nobody-there") as nobody:
            nobody.chats.get("key:c")
