"""One user of two services, on SQLite and on Postgres, to whom everything happens twice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.callers import Json, acting, every_item, ok, started
from tests.conftest import settings_for
from tests.servers.databases import DIALECTS, Databases


class Both:
    """Their clients. Both must answer alike, but for ids and the times of chats."""

    def __init__(self, clients: list[httpx2.AsyncClient]) -> None:
        self.clients = clients

    async def write(self, chat: Json, messages: list[Json]) -> None:
        """Creates a chat by its key, with messages."""
        for client in self.clients:
            ok(await client.put(f"/chats/key:{chat['key']}", json=chat | {"conversation": messages}))

    async def hits(self, q: str, **query: Any) -> list[tuple[str, int]]:
        """The titles and seqs of the hits of a query, on all pages; a chat has the seq 0."""
        first, second = [
            [(hit["title"], hit.get("seq", 0)) for hit in await every_item(client, "/search", **{"q": q, **query})]
            for client in self.clients
        ]
        assert first == second, q
        return first


@asynccontextmanager
async def both(databases: Databases, headers: dict[str, str], folder: Path) -> AsyncIterator[Both]:
    """Both services, started on databases of their own."""
    urls = [databases.fresh(dialect) for dialect in DIALECTS]
    try:
        async with AsyncExitStack() as stack:
            apps = [await stack.enter_async_context(started(settings_for(url, folder))) for url in urls]
            yield Both([await stack.enter_async_context(acting(app, headers)) for app in apps])
    finally:
        for url in urls:
            databases.drop(url)
