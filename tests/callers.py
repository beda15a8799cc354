"""Callers of the service inside this process, each acting for one user, and what they are answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings

Json = dict[str, Any]
PROBLEM_JSON = "application/problem+json"


def acting(app: FastAPI, headers: dict[str, str]) -> httpx2.AsyncClient:
    """A client of the service that sends these headers with every request."""
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test", headers=headers, trust_env=False
    )


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service, started: another process, as far as its database can tell."""
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


def by_key(key: str) -> str:
    """The path of a chat by its key."""
    return f"/chats/key:{quote(key, safe='')}"


def ok(answer: httpx2.Response) -> Any:
    """The JSON of an answer that must be a good one; None where it has no body."""
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def problem(answer: httpx2.Response, status: int) -> Json:
    """The details of an answer that must be an error with this status."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == PROBLEM_JSON
    details: Json = answer.json()
    assert details["status"] == status
    return details


def openai_error(answer: httpx2.Response, status: int) -> Json:
    """The details of an answer that must be an error of the API that is OpenAI's, with this status."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    details: Json = error
    assert list(details) == ["message", "type", "param", "code"]
    assert details["message"]
    return details


async def every_item(client: httpx2.AsyncClient, path: str, **query: Any) -> list[Json]:
    """What all pages of a list have, one after the other."""
    items: list[Json] = []
    cursor: Json = {}
    while True:
        page = ok(await client.get(path, params={"limit": 200, **query, **cursor}))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}
