"""A user's chats, written and read in the items of a format over plain HTTP."""

from itertools import count
from typing import Any
from urllib.parse import quote

import httpx2

from tests.conftest import Service

Json = dict[str, Any]


class Log:
    """The chats of one user. Each write makes a chat of its own."""

    def __init__(self, service: Service, user: str) -> None:
        headers = {"Authorization": f"Bearer {service.key}", "X-User-Id": user}
        self._http = httpx2.Client(base_url=service.url, headers=headers, timeout=60)
        self._chats = count()

    def write(self, codec: str | None, items: list[Json]) -> str:
        """Writes items into a new chat, and gives it; native messages where no format is named."""
        chat = f"/chats/{quote(f'key:codecs-{next(self._chats)}', safe='')}/messages"
        params = {"format": codec} if codec else {}
        response = self._http.post(chat, params=params, json={"messages": items})
        assert response.status_code == 201, response.text
        return chat

    def read(self, codec: str | None, chat: str) -> list[Json]:
        """All of a chat, in a format."""
        params = {"limit": "200"} | ({"format": codec} if codec else {})
        response = self._http.get(chat, params=params)
        assert response.status_code == 200, response.text
        page = response.json()
        assert page["next_cursor"] is None
        found: list[Json] = page["items"]
        return found

    def through(self, codec: str, items: list[Json]) -> list[Json]:
        """Items as they come back in their own format."""
        return self.read(codec, self.write(codec, items))

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()
