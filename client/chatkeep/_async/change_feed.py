"""The feed of changes, followed as they happen."""

import json
from typing import Any

from chatkeep._async.event_stream import AsyncEventStream, Event
from chatkeep.models.changes import Change


class AsyncChangeFeed(AsyncEventStream[Change]):
    """Changes as they happen, without end. Iterate over it in an `async with`, or `aclose` it.

    `cursor` is the `since` for what comes next, None before anything came.
    """

    cursor: str | None = None

    def _read(self, event: Event) -> Change | None:
        """The change of an event; None where it only has the cursor."""
        value: dict[str, Any] = json.loads(event.data)
        self.cursor = value["cursor"]
        return None if event.event == "cursor" else Change.model_validate(value)
