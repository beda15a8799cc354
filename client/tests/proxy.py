"""Fault injection proxy: relays bytes between a client and the service, and breaks requests as a test says."""

import contextlib
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from chatkeep import Chatkeep
from tests.blocking import open_client


@dataclass(frozen=True)
class Fault:
    """What happens to a request. By default it and its response are relayed."""

    refused: bool = False
    """The connection is cut before the service has seen anything of it."""
    says: tuple[int, dict[str, str]] | None = None
    """The proxy responds with a status and headers. The service sees nothing of the request."""
    lost: bool = False
    """The service responds, and the connection is cut before any of the response is relayed."""
    answer_bytes: int | None = None
    """So many bytes of the response are relayed, then the connection is cut."""
    body_bytes: int | None = None
    """So many bytes of the request are relayed, then the connection is cut."""
    delay: float = 0.0
    """Seconds before it is relayed."""


@dataclass(frozen=True)
class SeenRequest:
    """A request that the proxy received."""

    method: str
    path: str
    headers: dict[str, str] = field(compare=False)
    at: float = field(compare=False)


class Proxy:
    """Listens on a free port while it is entered. `fates` apply to the next requests, in order."""

    def __init__(self, url: str, key: str, kind: str) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._key = key
        self._kind = kind
        self.faults: deque[Fault] = deque()
        self.seen: list[SeenRequest] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # A thread that accepts is not woken by close.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def client(self, user: str, **options: Any) -> contextlib.AbstractContextManager[Chatkeep]:
        """A client, of the kind that this run of the test is about, which sends through the proxy."""
        return open_client(self._kind, self.url, self._key, user, **options)

    def paths(self) -> list[str]:
        """The methods and paths of the requests, without queries."""
        return [f"{request.method} {request.path.partition('?')[0]}" for request in self.seen]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, _ended(client), contextlib.suppress(OSError):
            head, body = _head(client)
            if not head:
                return
            fault = self.faults.popleft() if self.faults else Fault()
            self.seen.append(_parse_head(head))
            time.sleep(fault.delay)
            if fault.refused:
                return
            if fault.says is not None:
                _rest_of_body(client, head, body)
                client.sendall(_answer(*fault.says))
                return
            with socket.create_connection(self._target) as service, _ended(service):
                # One request for each connection, so that a fault applies to one request.
                service.sendall(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n")
                threading.Thread(target=_pump, args=(client, service, body, fault.body_bytes), daemon=True).start()
                if fault.lost:
                    while service.recv(65536):
                        pass
                    return
                _pump(service, client, b"", fault.answer_bytes)


@contextlib.contextmanager
def _ended(connection: socket.socket) -> Iterator[None]:
    """Shuts a connection down at the end: closing is not enough while another thread reads from it."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and the part of its body that came with it."""
    came = b""
    while b"\r\n\r\n" not in came:
        if not (part := client.recv(65536)):
            return b"", b""
        came += part
    head, _, body = came.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _parse_head(head: bytes) -> SeenRequest:
    first, *lines = head.decode("ascii").strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    cased = dict(line.split(": ", 1) for line in lines)
    return SeenRequest(method, path, headers | {name.lower(): value for name, value in cased.items()}, time.monotonic())


def _rest_of_body(client: socket.socket, head: bytes, body: bytes) -> None:
    if found := re.search(rb"(?i)content-length: (\d+)", head):
        while len(body) < int(found[1]):
            body += client.recv(65536)


def _answer(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Told so", "Content-Length: 0", "Connection: close"]
    return ("\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]) + "\r\n\r\n").encode()


def _pump(source: socket.socket, target: socket.socket, begun: bytes, most: int | None) -> None:
    """Relays bytes until there are no more, or until `most`, and then cuts both connections."""
    relayed = 0
    with contextlib.suppress(OSError):
        for part in _parts(source, begun):
            relayed += len(part)
            if most is not None and relayed >= most:
                target.sendall(part[: len(part) - (relayed - most)])
                source.shutdown(socket.SHUT_RDWR)
                target.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(part)


def _parts(source: socket.socket, begun: bytes) -> Iterator[bytes]:
    if begun:
        yield begun
    while part := source.recv(65536):
        yield part
