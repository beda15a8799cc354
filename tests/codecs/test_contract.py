"""What every codec keeps to. A new one enters by itself, with the items in `tests/codecs/items` that it needs."""

from importlib import import_module
from itertools import permutations
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.codecs import CODECS, Codec, UndecodableItem, decode_item, encode_message, same_json
from app.codecs.canonical import canonical_message
from app.messages.schemas import DecodedMessage
from tests.callers import Json
from tests.codecs.facts import Facts, facts
from tests.codecs.items.values import JSON, OBJECT, TEXT
from tests.messages.strategies import MESSAGES
from tests.profiles import examples

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
every_pair = pytest.mark.parametrize(
    ("source", "target"), list(permutations(CODECS.values(), 2)), ids=lambda codec: codec.name
)
WORDS = (
    "role type content text user assistant system tool message parts data id call_id tool_calls function name "
    "arguments kind args output image_url source reasoning summary tool_use tool_result metadata human ai author model"
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    JSON | st.sampled_from(WORDS.split()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS.split()) | TEXT, inner, max_size=5)
    ),
    max_leaves=20,
)


def items(codec: Codec) -> Any:
    """The module with a codec's items."""
    return import_module(f"tests.codecs.items.{codec.name}")


def stored(value: Any) -> Any:
    """A value as it comes back from where JSON is stored."""
    return orjson.loads(orjson.dumps(value))


def answered(message: Json) -> Json:
    """A message as it is answered once it is stored."""
    made = {"message_id": str(UUID(int=1)), "seq": 1, "type": "message", "created_at": "2026-01-31T12:00:00.000000Z"}
    said = {name: value for name, value in message.items() if value is not None or name == "content"}
    found: Json = stored({**made, "chat_id": str(UUID(int=2)), "parent_id": None, **said})
    return found


@every_codec
def test_every_codec_has_examples(codec: Codec) -> None:
    assert CODECS[codec.name] is codec
    assert len(items(codec).EXAMPLES) > 3


def test_the_codecs_that_there_are() -> None:
    assert {"chat_completions", "responses", "anthropic"} <= CODECS.keys()


def check_round_trip(codec: Codec, item: Json) -> None:
    """Checks that an item comes back equal from where messages are stored."""
    before = stored(item)
    message, payload = decode_item(codec, item)
    assert item == before, "reading leaves the item alone"
    DecodedMessage.model_validate({**message, "payload": payload})
    assert same_json(encode_message(codec, answered(message), stored(payload)), [item])


@every_codec
def test_examples_come_back_equal(codec: Codec) -> None:
    for item in items(codec).EXAMPLES:
        check_round_trip(codec, item)


@every_codec
@examples(fast=25, all=160)
@given(data=st.data())
def test_items_come_back_equal(codec: Codec, data: st.DataObject) -> None:
    check_round_trip(codec, data.draw(items(codec).ITEMS))


def check_readable(codec: Codec, item: Json) -> None:
    """Checks that something is an item, or refused for a reason."""
    refused: UndecodableItem | None = None
    try:
        decode_item(codec, item)
    except UndecodableItem as error:
        refused = error
    if refused is None:
        check_round_trip(codec, item)
    else:
        assert str(refused)
        assert all(isinstance(step, str | int) for step in refused.path)


@every_codec
@examples(fast=25, all=160)
@given(item=st.dictionaries(st.sampled_from(WORDS.split()) | TEXT, ANYTHING, max_size=5) | OBJECT)
def test_whatever_is_read_is_a_message_or_none(codec: Codec, item: Json) -> None:
    check_readable(codec, item)


@every_codec
@examples(fast=25, all=160)
@given(data=st.data())
def test_damaged_items_are_messages_or_none(codec: Codec, data: st.DataObject) -> None:
    item = stored(data.draw(st.sampled_from(items(codec).EXAMPLES)))
    place: Any = item
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(ANYTHING)
    check_readable(codec, item)


def check_written(codec: Codec, message: Json) -> list[Json]:
    """Checks that a message can be said in a codec, and read again in it."""
    before = stored(message)
    written = codec.encode(canonical_message(message))
    assert message == before, "writing leaves the message alone"
    for item in written:
        assert same_json(stored(item), item), "it is JSON"
        check_round_trip(codec, stored(item))
    return written


@every_codec
@examples(fast=25, all=160)
@given(message=MESSAGES)
def test_every_message_can_be_said(codec: Codec, message: Json) -> None:
    check_written(codec, message)
    check_written(codec, answered(message))


@every_pair
def test_examples_of_others_are_said(source: Codec, target: Codec) -> None:
    for item in items(source).EXAMPLES:
        check_kept(source, target, item)


@every_pair
@examples(fast=8, all=60)
@given(data=st.data())
def test_what_others_say_is_said(source: Codec, target: Codec, data: st.DataObject) -> None:
    check_kept(source, target, data.draw(items(source).ITEMS))


def check_kept(source: Codec, target: Codec, item: Json) -> None:
    """Checks that what an item says of what every codec can say is said in another, and read from it again."""
    message = answered(decode_item(source, item)[0])
    written = check_written(target, message)
    if message["type"] != "message":
        return
    there = Facts()
    for one in written:
        there += facts(answered(decode_item(target, one)[0]))
    facts(message).must_be_in(there)


@every_codec
def test_an_edited_message_is_said_anew(codec: Codec) -> None:
    for item in items(codec).EXAMPLES:
        message, payload = decode_item(codec, item)
        assume_text = isinstance(message.get("content"), str) and message["role"] in ("user", "assistant")
        if not assume_text or message.get("type", "message") != "message":
            continue
        edited = answered(message) | {"content": "Poached, please.", "edited_at": "2026-01-31T12:01:00.000000Z"}
        written = encode_message(codec, edited, stored(payload))
        texts = [facts(answered(decode_item(codec, one)[0])).texts for one in written]
        assert ["Poached, please."] in texts
        noted = answered(message) | {"metadata": {"a": 1}, "edited_at": "2026-01-31T12:01:00.000000Z"}
        assert same_json(encode_message(codec, noted, stored(payload)), [item])
