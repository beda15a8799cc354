# Generated from chatkeep/_async/event_stream.py by client/generate_sync.py: edit that file, then run `make format`.
"""Server-sent events of the service, with reconnection: nothing is missed, and nothing comes twice."""

import time
from collections.abc import Generator
from typing import Generic, Self, TypeVar

import httpx2

from chatkeep import http
from chatkeep._sync.methods import Sender
from chatkeep.call import Call
from chatkeep.errors import ApiError
from chatkeep.retries import TRANSIENT_STATUSES, Reconnection

Event = httpx2.ServerSentEvent
T = TypeVar("T")


class EventStream(Generic[T]):
    """The values that the events of a stream are read as. Iterate over it in a `with`, or `close` it."""

    def __init__(self, client: Sender, call: Call[None], give_up_after: float) -> None:
        self._events = iterate_events(client, call, give_up_after)
        self._finished = False

    def _read(self, event: Event) -> T | None:
        """The value of an event; None where it has none. Sets `_finished` at the last one."""
        raise NotImplementedError

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        for event in self._events:
            if (value := self._read(event)) is not None:
                return value
            if self._finished:
                break
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Closes its connection."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def iterate_events(client: Sender, call: Call[None], give_up_after: float) -> Generator[Event]:
    """The events of a call's response, until the service has no more of them.

    Raises ConnectionFailed after `give_up_after` seconds without the service, and ApiError where it refuses.
    """
    reconnection = Reconnection(give_up_after)
    response = client.open(call)
    while response.status_code != httpx2.codes.NO_CONTENT:
        failure: Exception | None = None
        try:
            # An event may be as large as the service takes messages.
            for event in httpx2.EventSource(response, max_event_size=None):
                reconnection.received(event.retry)
                call = call.with_headers(Last_Event_ID=event.id) if event.id else call
                if event.data:
                    yield event
        except http.NO_RESPONSE as error:
            failure = error
        finally:
            response.close()
        response = _reconnect(client, call, reconnection, failure)


def _reconnect(
    client: Sender, call: Call[None], reconnection: Reconnection, failure: Exception | None
) -> httpx2.Response:
    headers: httpx2.Headers | None = None
    while (wait := reconnection.wait(headers)) is not None:
        time.sleep(wait)
        try:
            response = client.send_once(call, None, stream=True)
        except http.NO_RESPONSE as error:
            failure, headers = error, None
            continue
        refusal = http.response_error(response)
        if refusal is None:
            return response
        failure, headers = _transient(refusal), response.headers
    raise http.connection_failed(call, failure) from failure


def _transient(error: ApiError) -> ApiError:
    """An error that may be gone the next time. Raises one that will not."""
    if error.status not in TRANSIENT_STATUSES:
        raise error
    return error
