"""Schemathesis makes requests from the OpenAPI document, good and bad; the service answers as the document says."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.settings import Settings
from tests.callers import Json, ok
from tests.document import Operation, operations
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess

DOCUMENT = create_app(Settings(database_url="sqlite:///unused.db"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT.openapi())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CONVERSATION: list[Json] = [
    {"role": "user", "content": [{"type": "text", "text": "x"}], "tokens": 1, "created_at": "2026-01-31T12:00:00Z"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}], "metadata": {"a": 1}},
]


@pytest.fixture(scope="module")
def running(dialect: str, databases: Databases) -> Iterator[ServiceProcess]:
    """The service as a process."""
    url = databases.fresh(dialect)
    with ServiceProcess(database_url=url, log_level="error") as service:
        yield service
    databases.drop(url)


@pytest.mark.parametrize("operation", operations(DOCUMENT), ids=str)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_is_as_documented(running: ServiceProcess, operation: Operation, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case: Case[Any] = data.draw(SCHEMA[operation.path][operation.method].as_strategy(generation_mode=mode))
    if operation.has("chat") and data.draw(st.booleans()):
        case.path_parameters |= there(running, operation)
    case.call_and_validate(base_url=running.base_url, headers=running.headers("ann"), checks=CHECKS)


def there(running: ServiceProcess, operation: Operation) -> dict[str, str]:
    """The names of a chat and a message that are there, so that there is something to find."""
    with httpx2.Client(base_url=running.base_url, headers=running.headers("ann"), trust_env=False) as client:
        chat = ok(client.put("/chats/key:it", json={"conversation": CONVERSATION}))
    names = {"chat": "key:it", "message": str(chat["last_seq"])}
    return {name: value for name, value in names.items() if operation.has(name)}
