"""Whatever stands in a query, a read is answered or refused."""

from urllib.parse import urlencode

import pytest
from fastapi import FastAPI

from tests.callers import Json
from tests.document import OPERATIONS, Operation
from tests.http.hostile import Ann, asked

TEXTS = ["\0", "a\0", "\x01", "\ufeff", "🥚" * 64, "'", '"; --', "%", "\u0665", "9" * 100, "-9", "1e9", "[]", "null"]


@pytest.mark.any_database
@pytest.mark.parametrize("route", [one for one in OPERATIONS if one.method == "GET"], ids=str)
async def test_no_query_breaks_a_read(app: FastAPI, ann: Ann, route: Operation) -> None:
    names = [p["name"] for p in route.entry.get("parameters", []) if p["in"] == "query"]
    for name in [*names, "metadata.x", "metadata.\0", "\0", ""]:
        for text in [*TEXTS, "\udcff"]:
            query = urlencode({name: text}) if text != "\udcff" else f"{name}=%FF%ED%A0%80"
            if route.streams_events:
                status = await asked(app, "GET", ann.path(route), dict(ann.client.headers), hanging_up, query)
                assert status < 500, (name, text)
            else:
                answer = await ann.client.get(ann.path(route), params=query)
                assert answer.status_code < 500, (name, text, answer.text)


async def hanging_up() -> Json:
    """What a client sends that is there for the head of the answer only."""
    return {"type": "http.disconnect"}
