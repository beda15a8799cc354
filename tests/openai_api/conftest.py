"""The service as a process, and OpenAI's client of it."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import httpx2
import openai
import pytest

from tests.openai_api.clients import async_client, client
from tests.profiles import count
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess


@pytest.fixture(scope="package")
def running(dialect: str, databases: Databases) -> Iterator[ServiceProcess]:
    """The service as a process, and for `make test-all` as two."""
    url = databases.fresh(dialect)
    with ServiceProcess(database_url=url, log_level="error", workers=count(fast=1, all=2)) as service:
        yield service
    databases.drop(url)


@pytest.fixture
def user_id() -> str:
    """A user that nobody has seen yet."""
    return f"user-{uuid4()}"


@pytest.fixture
def ann(running: ServiceProcess, user_id: str) -> Iterator[openai.OpenAI]:
    """OpenAI's client, for a user of its own."""
    with client(running.base_url, user_id) as made:
        yield made


@pytest.fixture
async def async_ann(running: ServiceProcess, user_id: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The asynchronous one, for the same user."""
    async with async_client(running.base_url, user_id) as made:
        yield made


@pytest.fixture
def native(running: ServiceProcess, user_id: str) -> Iterator[httpx2.Client]:
    """A client of the service's own API, for the same user."""
    with httpx2.Client(
        base_url=running.base_url, headers=running.headers(user_id), trust_env=False, verify=False
    ) as made:
        yield made
