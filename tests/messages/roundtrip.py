"""What a message is read back as, given what went in."""

from unittest.mock import ANY

from tests.callers import Json


def read_back(given: Json) -> Json:
    """What a message is read back as, where nothing but Chatkeep says what it does not say."""
    said = {name: value for name, value in given.items() if value is not None or name == "content"}
    made = dict.fromkeys(("message_id", "chat_id", "seq", "parent_id", "created_at"), ANY)
    return {**made, "type": "message", **said}


def same(found: Json, given: Json) -> bool:
    """Whether a message is as given, to the kind of each number and the order of each object's names."""
    return found == read_back(given) and all(repr(found[name]) == repr(given[name]) for name in given if name in found)


def in_a_line(messages: list[Json]) -> list[Json]:
    """The messages, each following the one before it, as they do once those between them are deleted."""
    parents = [None, *(message["message_id"] for message in messages)]
    return [message | {"parent_id": parent} for message, parent in zip(messages, parents, strict=False)]
