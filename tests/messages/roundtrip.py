"""What a message is read back as, given what went in."""

from unittest.mock import ANY

from tests.callers import Json


def read_back(given: Json) -> Json:
    """What a message is read back as, where nothing but Chatkeep says what it does not say."""
    said = {name: value for name, value in given.items() if value is not None or name == "content"}
    return {"message_id": ANY, "chat_id": ANY, "seq": ANY, "type": "message", "created_at": ANY, **said}


def same(found: Json, given: Json) -> bool:
    """Whether a message is as given, to the kind of each number and the order of each object's names."""
    return found == read_back(given) and all(repr(found[name]) == repr(given[name]) for name in given if name in found)
