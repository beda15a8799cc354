# Generated from chatkeep/_async/change_feed.py by client/generate_sync.py: edit that file, then run `make format`.
"""The feed of changes, followed as they happen."""

import json
from typing import Any

from chatkeep._sync.event_stream import Event, EventStream
from chatkeep.models.changes import Change


class ChangeFeed(EventStream[Change]):
    """Changes as they happen, without end. Iterate over it in a `with`, or `close` it.

    `cursor` is the `since` for what comes next, None before anything came.
    """

    cursor: str | None = None

    def _read(self, event: Event) -> Change | None:
        """The change of an event; None where it only has the cursor."""
        value: dict[str, Any] = json.loads(event.data)
        self.cursor = value["cursor"]
        return None if event.event == "cursor" else Change.model_validate(value)
