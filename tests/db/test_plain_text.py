"""The plain text of a content: what SQL makes of it is what Python makes of it."""

from random import Random
from typing import Any

import orjson
from fastapi import FastAPI

from app.models.plain_text import plain_text, plain_text_sql
from tests.profiles import count

WORDS = ["", "a", " ", "one\ntwo", "« ü »", "😀", "'", '"', "\\", "\u2028", "{}", "null", "x" * 3000]
VALUES: list[Any] = [None, 0, 1.5, True, {}, [], "text", {"text": "within"}, ["text"]]


def _part(random: Random) -> Any:
    text = random.choice(WORDS)
    return random.choice(
        [
            {"type": "text", "text": text},
            {"text": text},
            {"type": "image_url", "image_url": {"url": text, "text": text}},
            {"text": random.choice(VALUES)},
            text,
            random.choice(VALUES),
        ]
    )


def _contents(seed: int, number: int) -> list[Any]:
    random = Random(seed)
    drawn = [[_part(random) for _ in range(random.randint(0, 4))] for _ in range(number)]
    return [*WORDS, *VALUES, *drawn]


async def test_sql_and_python_agree(app: FastAPI, seed: int) -> None:
    db = app.state.services.db
    as_json = "CAST(CAST($1 AS text) AS json)" if db.kind == "postgres" else "CAST($1 AS text)"
    statement = f"SELECT {plain_text_sql(db.kind, 'm.content')} FROM (SELECT {as_json} AS content) AS m"
    for content in _contents(seed, count(fast=200, all=5000)):
        row = await db.driver.fetch_one(statement, orjson.dumps(content).decode())
        assert row[0] == plain_text(content), content


async def test_no_content_has_no_text(app: FastAPI) -> None:
    db = app.state.services.db
    nothing = "CAST(NULL AS json)" if db.kind == "postgres" else "NULL"
    row = await db.driver.fetch_one(
        f"SELECT {plain_text_sql(db.kind, 'm.content')} FROM (SELECT {nothing} AS content) AS m"
    )
    assert row[0] == ""
