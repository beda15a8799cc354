"""Bodies with damage, and such as only look good: what is accepted can always be read back."""

import json
import random

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, acting, ok
from tests.document import Operation
from tests.fuzz import made, mutated
from tests.http.hostile import CHAT, Ann, every_route
from tests.http.reading import everything_reads
from tests.messages.roundtrip import same
from tests.profiles import count

# What is sent into an answer that is in progress. After one that was taken there is another answer for the next.
INTO_AN_ANSWER = ("/chunks", "/complete", "/fail")


@every_route
@pytest.mark.any_database
async def test_fuzzed_bodies_break_nothing(app: FastAPI, admin: dict[str, str], route: Operation, seed: int) -> None:
    source = random.Random(f"{route} {seed}")
    async with acting(app, admin | {"X-User-Id": f"fuzz {route}"}) as client:
        ann = Ann(client, ok(await client.post("/chats", json=CHAT))["chat_id"])
        ended = route.path.endswith(INTO_AN_ANSWER)
        bodies = count(fast=15, all=120)
        for make in [mutated] * bodies + [made] * bodies:
            if ended:
                ann.message = await begun(ann, route.body.get("offset", 0))
            body = make(source, route)
            answer = await ann.send(route, body)
            expected = (200, 400) if route.is_openais else (200, 201, 202, 409, 422)
            assert answer.status_code in expected, (answer.status_code, body)
            ended = answer.is_success and route.path.endswith(INTO_AN_ANSWER)
            if answer.status_code == 201 and route.path.endswith("/messages"):
                await is_kept(ann, json.loads(body), answer)
            if answer.is_success and route.path.endswith("/items"):
                await is_listed(ann, ann.path(route), answer)
            if answer.status_code == 201 and route.path.endswith("/turn"):
                token = {"Turn-Token": str(answer.json()["token"])}
                ok(await client.delete(ann.path(route), headers=token))
        await everything_reads(client)


async def begun(ann: Ann, length: int) -> str:
    """The id of a message that is in progress, with a text that is so long."""
    growing = {"role": "assistant", "content": "x" * length, "status": "in_progress"}
    message_id: str = ok(await ann.client.post(f"/chats/{ann.chat_id}/messages", json=growing))["message_id"]
    return message_id


async def is_kept(ann: Ann, given: Json, answer: httpx2.Response) -> None:
    """Fails unless an append that was accepted is read back as it went in."""
    batch = given.get("messages")
    said = answer.json()["messages"] if batch is not None else [answer.json()]
    for message, one in zip(said, batch if batch is not None else [given], strict=True):
        one = {name: value for name, value in one.items() if name != "parent"}
        plain = {name: value for name, value in message.items() if name != "siblings"}
        assert same(plain, {**one, "created_at": message["created_at"]} if "created_at" in one else one)
    read = ok(
        await ann.client.get(f"/chats/{ann.chat_id}/messages", params={"after_seq": said[0]["seq"] - 1, "limit": 200})
    )
    assert read["items"] == said[:200]


async def is_listed(ann: Ann, path: str, answer: httpx2.Response) -> None:
    """Fails unless items that were accepted are listed as they were answered."""
    added = answer.json()["data"]
    listed = ok(await ann.client.get(path, params={"limit": len(added)}))
    assert listed["data"] == added[::-1]
