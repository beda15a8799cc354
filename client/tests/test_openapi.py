"""The client's calls against the OpenAPI document of the running service: every route, and all that it takes."""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, is_typeddict

import httpx2
import pytest

import chatkeep.calls.chats
import chatkeep.calls.messages
from chatkeep import calls
from chatkeep.call import Call
from tests.conftest import Service

Document = dict[str, Any]

# What a call is given, by the name of its parameter: something, since only what is given is sent.
GIVEN: dict[str, Any] = {
    "messages": {"role": "user", "content": "Hello"},
    "body": {"role": "user", "content": "Hello"},
    "files": b"[]",
    "metadata": {"<name>": "x"},
    "chat": "key:c",
    "message": 1,
    "scopes": ["admin"],
}
# Nothing is kept here that could be compared with an ETag.
LEFT_OUT = {"If-None-Match", "Last-Event-ID"}


def _functions() -> Iterator[Any]:
    for module in pkgutil.iter_modules(calls.__path__):
        loaded = importlib.import_module(f"chatkeep.calls.{module.name}")
        for name, function in vars(loaded).items():
            if inspect.isfunction(function) and function.__module__ == loaded.__name__ and not name.startswith("_"):
                returned = str(inspect.signature(function).return_annotation)
                if "Call" in returned and name != "as_events":
                    yield pytest.param(function, id=f"{module.name}.{name}")


def _call_of(function: Callable[..., Call[Any]]) -> Call[Any]:
    """The call that a function makes when it is given all that it takes."""
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            [typed_dict] = parameter.annotation.__args__
            assert is_typeddict(typed_dict)
            arguments |= {field: GIVEN.get(field, 1) for field in typed_dict.__annotations__}
        else:
            arguments[name] = GIVEN.get(name, 1)
    if function is chatkeep.calls.messages.append:
        # It is a field of a message, which an item of another API does not have.
        del arguments["key"]
    return function(**arguments)


@pytest.fixture
def document(service: Service) -> Document:
    """What the service says of itself."""
    document: Document = httpx2.get(f"{service.url}/openapi.json").json()
    return document


def _route(document: Document, call: Call[Any]) -> tuple[str, Document]:
    """The route that a call is of."""
    routes = [
        (path, methods[call.method.lower()])
        for path, methods in document["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), call.path) and call.method.lower() in methods
    ]
    # `/messages/pop` could be a message as well.
    return min(routes, key=lambda route: route[0].count("{"))


def _named(route: Document, location: str) -> set[str]:
    return {parameter["name"] for parameter in route.get("parameters", ()) if parameter["in"] == location}


@pytest.mark.parametrize("function", list(_functions()))
def test_a_call_says_all_that_its_route_takes_and_nothing_else(
    function: Callable[..., Call[Any]], document: Document
) -> None:
    call = _call_of(function)
    _, route = _route(document, call)
    assert set(call.query) == _named(route, "query")
    ours = {"Content-Type", "Content-Length", "Accept"}
    headers = set(call.headers) - ours | ({"X-User-Id"} if call.for_user else set())
    if function is chatkeep.calls.chats.get_or_create:
        # Half of its route: what `replace` says with a body.
        assert call.body is None
        assert headers <= _named(route, "header")
        return
    assert headers == _named(route, "header") - LEFT_OUT
    assert ("Content-Type" in call.headers) == ("requestBody" in route)
    if call.headers.get("Content-Type") == "application/json":
        assert isinstance(call.body, bytes)
        schema = route["requestBody"]["content"]["application/json"]["schema"]
        assert set(json.loads(call.body)) in _fields(document, schema)


def _fields(document: Document, schema: Document) -> list[set[str]]:
    """The names that an object of a schema may have; of several schemas, those of each."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return [names for member in schema[several] for names in _fields(document, member)]
    names = set(schema.get("properties", ()))
    # A message is its caller's: which of its fields it has is not the function's to say.
    return [names, names & {"role", "content", "parent"}, names & {"messages", "parent"}]


def test_every_route_has_its_call(document: Document) -> None:
    called = set()
    for parameter in _functions():
        [function] = parameter.values
        call = _call_of(function)
        path, _ = _route(document, call)
        called.add((call.method, path))
    routes = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if not path.startswith("/v1/")
    }
    assert called == routes


@pytest.mark.parametrize("function", list(_functions()))
def test_what_has_an_idempotency_key_has_another_each_time(function: Callable[..., Call[Any]]) -> None:
    once, twice = (function(**_required(function)) for _ in range(2))
    keys = [call.headers.get("Idempotency-Key") for call in (once, twice)]
    is_post = once.method == "POST" and function.__name__ not in ("chunk", "chunks")
    if is_post or function is chatkeep.calls.messages.put:
        assert keys[0]
        assert keys[0] != keys[1]
        assert once.retryable
    else:
        assert keys == [None, None]


def _required(function: Callable[..., Call[Any]]) -> dict[str, Any]:
    return {
        name: GIVEN.get(name, 1)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
