"""Schemathesis makes requests from the OpenAPI document, good and bad; the service answers as the document says."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.callers import Json, ok
from tests.document import DOCUMENT, OPERATIONS, Operation
from tests.profiles import examples
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess

pytestmark = pytest.mark.any_database

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CONVERSATION: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": "x"}], "tokens": 1, "created_at": "2026-01-31T12:00:00Z"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}], "metadata": {"a": 1}},
]


OPENAIS = {"conversation": "chat_id", "item": "head_id"}


@pytest.fixture(scope="module")
def running(dialect: str, databases: Databases) -> Iterator[ServiceProcess]:
    """The service as a process."""
    url = databases.fresh(dialect)
    with ServiceProcess(database_url=url, log_level="error") as service:
        yield service
    databases.drop(url)


# Where a message ends (RFC 9112, 6): what is wrong there is refused by the server, which knows no document.
FRAMING = ("Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "Host")

# Its answer has no end. That of the text of an answer ends with it, and the answers here are all complete.
ENDLESS = "GET /events"


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if str(one) != ENDLESS], ids=str)
@examples(fast=4, all=40)
@given(data=st.data())
def test_every_answer_is_as_documented(running: ServiceProcess, operation: Operation, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = drawn(data, operation, mode)
    if operation.has("chat", "conversation") and data.draw(st.booleans()):
        case.path_parameters |= there(running, operation)
    case.call_and_validate(base_url=running.base_url, headers=running.headers("ann"), checks=CHECKS)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if str(one) == ENDLESS], ids=str)
@examples(fast=4, all=40)
@given(data=st.data())
def test_an_answer_without_end_begins_as_documented(
    running: ServiceProcess, operation: Operation, data: st.DataObject
) -> None:
    case = drawn(data, operation, data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE])))
    if data.draw(st.booleans()):
        case.query = {}
        case.headers.pop("Last-Event-ID", None)
    caller = running.headers("ann")
    asked = case.as_transport_kwargs(base_url=running.base_url, headers=caller)
    headers = [(name, value.encode("latin-1")) for name, value in asked["headers"].items()]
    with httpx2.stream(
        "GET", asked["url"], params=asked["params"], headers=headers, timeout=10, trust_env=False
    ) as answer:
        if answer.status_code == 200:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert next(answer.iter_lines()).startswith("retry: ")
            return
    case.call_and_validate(base_url=running.base_url, headers=caller, checks=CHECKS)


def drawn(data: st.DataObject, operation: Operation, mode: GenerationMode) -> Case[Any]:
    """A request for an operation, well framed whatever else is wrong with it."""
    case: Case[Any] = data.draw(SCHEMA[operation.path][operation.method].as_strategy(generation_mode=mode))
    for name in FRAMING:
        case.headers.pop(name, None)
    return case


def there(running: ServiceProcess, operation: Operation) -> dict[str, str]:
    """The names of a chat and a message that are there, so that there is something to find. Nobody has its turn."""
    key = f"it:{uuid4()}"
    with httpx2.Client(
        base_url=running.base_url, headers=running.headers("ann"), trust_env=False, verify=False
    ) as client:
        chat = ok(client.put(f"/chats/key:{key}", json={"conversation": CONVERSATION}))
    names = {"chat": f"key:{key}", "message": str(chat["last_seq"])}
    names |= {of: f"{of[:4]}_{chat[name].replace('-', '')}" for of, name in OPENAIS.items()}
    return {name: value for name, value in names.items() if operation.has(name)}
