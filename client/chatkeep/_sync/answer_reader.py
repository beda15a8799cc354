# Generated from chatkeep/_async/answer_reader.py by client/generate_sync.py: edit that file, then run `make format`.
"""Reads the text of an answer while it is written."""

import json
from typing import Any

from chatkeep._sync.event_stream import Event, EventStream
from chatkeep._sync.methods import Sender
from chatkeep.call import Call
from chatkeep.models.messages import Message


class AnswerReader(EventStream[str]):
    """The text of an answer, as it comes, to its end. Iterate over it in a `with`, or `close` it.

    `offset` is where the next text begins, in characters. In the end `ended` is `done`, `failed`, `incomplete` or
    `deleted`, and `message` the whole answer, whose content is what counts; None where it was deleted.
    """

    def __init__(self, client: Sender, call: Call[None], offset: int, give_up_after: float) -> None:
        super().__init__(client, call, give_up_after)
        self.offset = offset
        self.ended: str | None = None
        self.message: Message | None = None

    def _read(self, event: Event) -> str | None:
        """The text of an event; None with the last one."""
        value: dict[str, Any] = json.loads(event.data)
        if event.event == "text":
            self.offset = value["offset"] + len(value["text"])
            return str(value["text"])
        self._finished = True
        self.ended = event.event
        self.message = None if event.event == "deleted" else Message.model_validate(value)
        return None
