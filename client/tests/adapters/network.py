"""httpx2 transports that lose requests or responses."""

import re
from typing import Literal

import httpx2

Lost = Literal["nothing", "request", "answer"]


class _LossRules:
    """The rules of what is lost, and `sent`: the method and path of each request, without its query."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._rules: list[tuple[re.Pattern[str], Lost, int]] = []

    def lose(self, request: str, what: Lost, times: int = 1) -> None:
        """Loses the next requests that match (such as `PATCH .*`), or the responses to them."""
        self._rules.append((re.compile(request), what, times))

    def die(self, after: int, what: Lost) -> None:
        """Loses all requests but the next so many; of the first that is lost, the answer alone if `what` says so."""
        self._rules = [(re.compile(".*"), "nothing", after), (re.compile(".*"), what, 1)]
        self.lose(".*", "request", 1_000_000)

    def next_loss(self, request: httpx2.Request) -> Lost | None:
        """Whether a request is lost, and how."""
        sent_request = f"{request.method} {request.url.path}"
        self.sent.append(sent_request)
        for index, (pattern, what, times) in enumerate(self._rules):
            if times and pattern.fullmatch(sent_request):
                self._rules[index] = (pattern, what, times - 1)
                return what
        return None


class AsyncNetwork(httpx2.AsyncBaseTransport, _LossRules):
    """For `AsyncChatkeep(transport=…)`."""

    def __init__(self) -> None:
        _LossRules.__init__(self)
        self._transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lost = self.next_loss(request)
        if lost == "request":
            raise httpx2.ConnectError("lost", request=request)
        response = await self._transport.handle_async_request(request)
        if lost == "answer":
            await response.aread()
            await response.aclose()
            raise httpx2.ReadError("lost", request=request)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class Network(httpx2.BaseTransport, _LossRules):
    """For `Chatkeep(transport=…)`."""

    def __init__(self) -> None:
        _LossRules.__init__(self)
        self._transport = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        lost = self.next_loss(request)
        if lost == "request":
            raise httpx2.ConnectError("lost", request=request)
        response = self._transport.handle_request(request)
        if lost == "answer":
            response.read()
            response.close()
            raise httpx2.ReadError("lost", request=request)
        return response

    def close(self) -> None:
        self._transport.close()
