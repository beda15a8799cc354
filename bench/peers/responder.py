"""The simplest HTTP server in Python: every request gets the same bytes. It shows how fast the generator can ask."""

import asyncio
from typing import cast


class _Responder(asyncio.Protocol):
    """Answers each read: a client that waits for its answer never has two requests in one."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)


async def serve(port: int, size: int) -> None:
    """Serves bodies of `size` bytes, for ever."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    answer = head.encode() + b"x" * size
    server = await asyncio.get_running_loop().create_server(lambda: _Responder(answer), "127.0.0.1", port)
    await server.serve_forever()
