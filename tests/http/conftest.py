"""A service with a small limit for bodies, on a database with nothing in it but what is sent here."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from tests.callers import acting, ok, started
from tests.conftest import settings_for
from tests.http.hostile import CHAT, LIMIT, Ann
from tests.servers.databases import Databases


@pytest.fixture(scope="module")
async def app(databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The service on a database with nothing in it but what is made here, and with a smaller limit."""
    url = databases.fresh(dialect)
    settings = settings_for(url, tmp_path_factory.mktemp("data"))
    async with started(settings.model_copy(update={"max_body_bytes": LIMIT})) as made:
        yield made
    databases.drop(url)


@pytest.fixture(scope="module")
async def ann(app: FastAPI, admin: dict[str, str]) -> AsyncIterator[Ann]:
    """Ann."""
    async with acting(app, admin | {"X-User-Id": "ann"}) as client:
        yield Ann(client, ok(await client.post("/chats", json=CHAT))["chat_id"])
