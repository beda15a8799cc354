"""`/docs` and the OpenAPI document, without a browser; `tests/e2e` has one."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.http import docs
from app.http.errors import PROBLEM_JSON
from app.main import create_app
from app.settings import Settings
from tests.document import OPERATIONS, PUT_MESSAGE, RETRIED_BY_OFFSET

VENDOR = Path(docs.__file__).parent / "vendor"
OF_A_USER = ("/chats", "/v1", "/changes", "/events", "/tickets", "/export", "/import", "/search", "/stats")
OF_ALL = ("/stats/top", "/stats/storage")
PUBLIC = {"GET /healthz", "GET /readyz"}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """A service without a database: none of this needs one."""
    return create_app(Settings(_env_file=None, log_level="warning"))


@pytest.fixture(scope="module")
async def browser(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as client:
        yield client


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return app.openapi()


def test_vendored_files_are_what_was_published() -> None:
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS", "README.md"} == set(sums)
    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in sums} == sums
    assert re.search(r"swagger-ui-dist@\d+\.\d+\.\d+", (VENDOR / "README.md").read_text())


async def test_the_page_has_everything_beside_it(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "png": "image/png"}
    assert sorted(link.rpartition(".")[2] for link in links) == ["css", "js", "js", "png"]
    for link in links:
        # Relative to the page: whatever path a proxy puts before it.
        assert link.startswith("docs/")
        file = await browser.get(f"/{link}")
        assert file.status_code == 200
        assert file.headers["content-type"] == types[link.rpartition(".")[2]]
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in file.headers["cache-control"]
    assert "<script>" not in page.text


@pytest.mark.parametrize("name", ["", "README.md", "SHA256SUMS", "..%2Froutes.py", "%2e%2e/routes.py"])
async def test_nothing_else_is_served(browser: httpx2.AsyncClient, name: str) -> None:
    version = re.findall(r"docs/(\w+)/", (await browser.get("/docs")).text)[0]
    for path in (f"/docs/{version}/{name}", f"/docs/{version}", f"/docs/0/{name or 'docs.js'}"):
        assert (await browser.get(path)).status_code == 404, path


async def test_the_document_is_served(browser: httpx2.AsyncClient, document: dict[str, Any]) -> None:
    assert (await browser.get("/openapi.json")).json() == document


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for operation in OPERATIONS:
        call, entry = str(operation), operation.entry
        assert entry["summary"], call
        assert entry["description"], call
        assert tags.issuperset(entry["tags"]), call
        assert entry.get("security", []) == ([] if call in PUBLIC else [{"bearer": []}]), call
        of_a_user = operation.path.startswith(OF_A_USER) and operation.path not in OF_ALL
        assert bool(operation.header("X-User-Id")) == of_a_user, call
        takes_key = (operation.method == "POST" and call != RETRIED_BY_OFFSET) or call == PUT_MESSAGE
        assert bool(operation.header("Idempotency-Key")) == takes_key, call


def test_every_operation_has_examples() -> None:
    for operation in OPERATIONS:
        for part in (operation.entry.get("requestBody", {}), *operation.entry["responses"].values()):
            for content in part.get("content", {}).values():
                assert content.get("example") is not None, str(operation)


def test_errors_have_one_shape(document: dict[str, Any]) -> None:
    for operation in OPERATIONS:
        call, answers = str(operation), operation.entry["responses"]
        for status, answer in answers.items():
            if status >= "400":
                kind, name = (
                    ("application/json", "ErrorOut") if operation.is_openais else (PROBLEM_JSON, "ProblemDetails")
                )
                assert list(answer["content"]) == [kind], call
                assert answer["content"][kind]["schema"] == {"$ref": f"#/components/schemas/{name}"}, call
        if call not in PUBLIC:
            assert {"401", "403"} <= answers.keys(), call
        if operation.takes_body:
            assert {"413", "415", "400" if operation.is_openais else "422"} <= answers.keys(), call
    schemas = document["components"]["schemas"]
    assert {"ProblemDetails", "ErrorItem"} <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from references(member)
        if isinstance(value, dict) and isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]

    assert set(references(document)) <= document["components"]["schemas"].keys()
