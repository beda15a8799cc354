"""Makes keys."""

from typing import Any

import httpx2
import pytest

from tests.auth.keys import PATH, READ_WRITE, Headers, Make


@pytest.fixture
def make(client: httpx2.AsyncClient, admin: Headers) -> Make:
    """Makes a key and gives the answer's JSON."""

    async def create(headers: Headers | None = None, **body: Any) -> Any:
        asked = {"name": "a key", "scopes": READ_WRITE, **body}
        answer = await client.post(PATH, headers={**admin, **(headers or {})}, json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return create
