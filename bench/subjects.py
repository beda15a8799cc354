"""What is measured: Chatkeep and its peers, each started as a process and asked through the same few requests."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from urllib.parse import quote

import httpx2

from bench.load import FRESH_KEY, request
from tests.servers.postgres import free_port
from tests.servers.service import REPOSITORY, ServiceProcess

START_SECONDS = 20
BATCH = 1000
MESSAGE = {
    "role": "user",
    "content": "Could you look through the notes of last week's call, and list who promised what, and until when? "
    "Leave out what is done already, and put what is late at the top, with a line on why.",
}


class Subject(Protocol):
    """A server that keeps messages."""

    port: int

    def chat(self, messages: int) -> str:
        """The id of a new chat of so many messages."""
        ...

    def append(self, chat: str) -> bytes:
        """The request that appends one message."""
        ...

    def last(self, chat: str, count: int = 50) -> bytes:
        """The request that reads the last messages."""
        ...


class Chatkeep:
    """The service, acting for one user."""

    def __init__(self, service: ServiceProcess, user: str = "bench") -> None:
        self.port = service.port
        self._headers = service.headers(user)
        self._client = httpx2.Client(base_url=service.base_url, headers=self._headers, trust_env=False, timeout=30)

    def chat(self, messages: int) -> str:
        chat: str = self.ask("POST", "/chats", {"title": "bench"})["chat_id"]
        for start in range(0, messages, BATCH):
            self.ask("POST", f"/chats/{chat}/messages", {"messages": [MESSAGE] * min(BATCH, messages - start)})
        return chat

    def append(self, chat: str, *, with_key: bool = False, if_match: str | None = None, **fields: Any) -> bytes:
        """The request that appends one message, with or without an Idempotency-Key of its own, and more fields."""
        headers = self._headers | ({"Idempotency-Key": FRESH_KEY} if with_key else {})
        headers |= {} if if_match is None else {"If-Match": if_match}
        return request("POST", f"/chats/{chat}/messages", headers, MESSAGE | fields)

    def append_batch(self, chat: str, messages: int) -> bytes:
        """The request that appends so many messages together."""
        return request("POST", f"/chats/{chat}/messages", self._headers, {"messages": [MESSAGE] * messages})

    def last(self, chat: str, count: int = 50) -> bytes:
        return request("GET", f"/chats/{chat}/messages?last={count}", self._headers)

    def page(self, path: str, number: int) -> bytes:
        """The request for the `number`th page of a list, whose cursor is found by walking there."""
        query = ""
        for _ in range(number - 1):
            query = f"?cursor={quote(self.ask('GET', path + query)['next_cursor'])}"
        return request("GET", path + query, self._headers)

    def messages(self, chat: str) -> Iterator[dict[str, Any]]:
        """Every message of a chat, in the order in which the service lists them."""
        query = "?limit=200"
        while True:
            page = self.ask("GET", f"/chats/{chat}/messages{query}")
            yield from page["items"]
            if not page["next_cursor"]:
                return
            query = f"?limit=200&cursor={quote(page['next_cursor'])}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """An answer's JSON; raises httpx2.HTTPStatusError for one that is not a 2xx."""
        return self._client.request(method, path, json=body).raise_for_status().json()


class Peer:
    """A bare endpoint. It has no owners; its chats are named by its client."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        self._chats = 0

    def chat(self, messages: int) -> str:
        self._chats += 1
        chat = f"chat-{self._chats}"
        self._client.put(f"/chats/{chat}").raise_for_status()
        for _ in range(messages):
            self._client.post(f"/chats/{chat}/messages", json=MESSAGE).raise_for_status()
        return chat

    def append(self, chat: str) -> bytes:
        return request("POST", f"/chats/{chat}/messages", body=MESSAGE)

    def last(self, chat: str, count: int = 50) -> bytes:
        return request("GET", f"/chats/{chat}/messages?last={count}")


@contextmanager
def started(kind: str, argument: str | int) -> Iterator[int]:
    """The port of a peer (`bench.peers`), which runs as long as the context."""
    port = free_port()
    command = [sys.executable, "-m", "bench.peers", kind, str(port), str(argument)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE) as process:
        try:
            wait_until_it_answers(process, port)
            yield port
        finally:
            process.kill()


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, path: str = "/openapi.json") -> None:
    """Waits for any answer. Raises RuntimeError when there is none in time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            return
        time.sleep(0.05)
    raise RuntimeError("a peer did not start")
