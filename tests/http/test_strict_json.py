"""The gate of strict JSON: every hostile value at each place of each body. test_bodies.py: that every route uses it."""

import json
from collections.abc import Iterator

import pytest

from app.http import strict_json
from app.http.errors import Unprocessable
from tests.callers import Json
from tests.document import Operation
from tests.fuzz import HOSTILE, json_object
from tests.http.hostile import ROUTES

ENCODED = {
    "UTF-16": '{"role": "user", "content": "x", "title": "x", "name": "x", "scopes": ["admin"]}'.encode("utf-16"),
    "UTF-32": b"\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"content": "ü"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"content": "\xed\xa0\x80"}',
    "an overlong slash": b'{"content": "\xc0\xaf"}',
    "cut": b'{"content": "x',
    "two values": b"{} {}",
    "nothing but space": b"  \n ",
    "a form": b"role=user&content=x",
    "no bytes that mean anything": bytes(range(256)),
}


def bodies(route: Operation, hostile: str) -> Iterator[str]:
    """A good body of the route with a hostile value at each place where one can be."""
    good: Json = {**route.body}
    good.pop("key", None)
    texts = {name: json.dumps(value) for name, value in good.items()}
    yield hostile
    yield f"[{hostile}]"
    yield f'{{"messages": [{hostile}]}}'
    for name in [*texts, "metadata", "anything"]:
        yield json_object({**texts, name: hostile})
        yield json_object({**texts, name: f'[{{"x": {hostile}}}]'})
    yield json_object({**texts, "metadata": f'{{"a": {{"b": [1, {hostile}]}}}}'})
    message = f'{{"role": "user", "content": "x", "metadata": {{"x": {hostile}}}}}'
    yield f'{{"messages": [{{"role": "user", "content": "x"}}, {message}]}}'
    yield json_object({**texts, "conversation": f"[{message}]"})


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_refused(hostile: str) -> None:
    for body in {body for route in ROUTES for body in bodies(route, hostile)}:
        if hostile or body not in ("[]", '{"messages": []}'):  # where no value is, a list is empty
            is_refused(body.encode())


def test_what_is_no_json_in_utf8_is_refused() -> None:
    for body in ENCODED.values():
        is_refused(body)


def is_refused(body: bytes) -> None:
    """Fails unless a body is refused with one reason, which says that it is the JSON."""
    with pytest.raises(Unprocessable) as refused:
        strict_json.loads(body)
    (error,) = refused.value.errors
    assert (error["loc"], error["type"]) == (["body"], "json")
    assert error["msg"]
