"""What an exported file says, read by other eyes than ours: every text in it, by its media type."""

import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import orjson

VOID = {"meta", "br"}


def texts(media_type: str, body: bytes) -> list[str]:
    """Every text that a file holds. An AssertionError says what is wrong with it."""
    text = body.decode("utf-8-sig" if media_type.startswith("text/csv") else "utf-8")
    match media_type.partition(";")[0]:
        case "application/json":
            return list(strings(orjson.loads(body)))
        case "application/jsonl":
            lines = text.split("\n")
            assert lines.pop() == "", "the last line has no end"
            return [text for line in lines for text in strings(orjson.loads(line))]
        case "text/csv":
            return [cell.removeprefix("'") for row in table(body) for cell in row]
        case "text/html":
            return page(text).texts
        case "text/markdown":
            return fenced(text)
    return [text]


def strings(value: Any) -> Iterator[str]:
    """The texts in a JSON value, and those in JSON that is written as a text."""
    if isinstance(value, str):
        yield value
        if value.startswith(("{", "[")):
            with suppress(orjson.JSONDecodeError):
                yield from strings(orjson.loads(value))
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


# A message may be longer than a cell is expected to be.
csv.field_size_limit(2**31 - 1)


def table(body: bytes) -> list[list[str]]:
    """The rows of a CSV, header first; all have as many cells."""
    rows = list(csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    assert len({len(row) for row in rows}) == 1
    return rows


class Page(HTMLParser):
    """A page of HTML that has nothing in it that loads, runs or leads anywhere but to the web."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.texts.append("")
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), "an attribute twice"
        assert not [name for name in attributes if name.startswith(("on", "src")) or name == "style"]
        if "href" in attributes:
            assert tag == "a"
            self.links.append(attributes["href"] or "")
            assert re.match("https?://", self.links[-1], re.IGNORECASE)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")


def page(text: str) -> Page:
    """A page, read to its end."""
    parser = Page()
    parser.texts.append("")
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert parser.tags <= set(
        "html head meta title style body main section h1 dl dt dd article header time bdi div pre a".split()
    )
    assert "default-src 'none'" in parser.policy
    return parser


def fenced(text: str) -> list[str]:
    """The blocks of code of a Markdown file (CommonMark, 4.5), and the lines outside of them, which do nothing."""
    found: list[str] = []
    inside: list[str] | None = None
    fence = ""
    for line in re.split("\r\n|\n|\r", text):
        closing = re.fullmatch(" {0,3}(`{3,}) *", line)
        if inside is None:
            opening = re.match("(`{3,})text$", line)
            if opening:
                fence, inside = opening[1], []
            else:
                # Nothing but what is escaped, and links.
                assert not re.search(r"(?<!\\)(?:\\\\)*(`|~|<(?!https?://)|!\[)", line, re.IGNORECASE), line
                found.append(re.sub(r"\\(.)", r"\1", line))
        elif closing and len(closing[1]) >= len(fence):
            found.append("\n".join(inside))
            inside = None
        else:
            inside.append(line)
    assert inside is None, "a fence is left open"
    return found
