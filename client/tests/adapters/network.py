"""A way to the service that loses what it is told to lose."""

import re
from typing import Literal

import httpx2

Lost = Literal["nothing", "request", "answer"]


class _Losses:
    """What is lost, and what was sent: each request's method and path, without what it is asked."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._losses: list[tuple[re.Pattern[str], Lost, int]] = []

    def lose(self, request: str, what: Lost, times: int = 1) -> None:
        """Loses the next requests that match (`PATCH .*`), or their answers: the service has dealt with those."""
        self._losses.append((re.compile(request), what, times))

    def die(self, after: int, what: Lost) -> None:
        """Loses all requests but the next so many; of the first that is lost, the answer alone if `what` says so."""
        self._losses = [(re.compile(".*"), "nothing", after), (re.compile(".*"), what, 1)]
        self.lose(".*", "request", 1_000_000)

    def due(self, request: httpx2.Request) -> Lost | None:
        """Whether this one is lost, and how."""
        said = f"{request.method} {request.url.path}"
        self.sent.append(said)
        for place, (pattern, what, times) in enumerate(self._losses):
            if times and pattern.fullmatch(said):
                self._losses[place] = (pattern, what, times - 1)
                return what
        return None


class AsyncNetwork(httpx2.AsyncBaseTransport, _Losses):
    """For `AsyncChatkeep(transport=…)`."""

    def __init__(self) -> None:
        _Losses.__init__(self)
        self._way = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lost = self.due(request)
        if lost == "request":
            raise httpx2.ConnectError("lost", request=request)
        response = await self._way.handle_async_request(request)
        if lost == "answer":
            await response.aread()
            await response.aclose()
            raise httpx2.ReadError("lost", request=request)
        return response

    async def aclose(self) -> None:
        await self._way.aclose()


class Network(httpx2.BaseTransport, _Losses):
    """For `Chatkeep(transport=…)`."""

    def __init__(self) -> None:
        _Losses.__init__(self)
        self._way = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        lost = self.due(request)
        if lost == "request":
            raise httpx2.ConnectError("lost", request=request)
        response = self._way.handle_request(request)
        if lost == "answer":
            response.read()
            response.close()
            raise httpx2.ReadError("lost", request=request)
        return response

    def close(self) -> None:
        self._way.close()
