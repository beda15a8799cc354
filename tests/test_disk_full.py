"""A disk that is full: the write is refused with 507, nothing is stored half, and what was acknowledged stays."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy.exc import DBAPIError

from app.http.database_errors import problem_of
from app.http.errors import StorageFull
from tests.servers.service import ServiceProcess


@contextmanager
def full_disk(process_id: int, size: int) -> Iterator[None]:
    """As long as this lasts, no file of the process grows past `size` bytes, as if the disk had ended there."""
    before = resource.prlimit(process_id, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, before)


def test_sqlite_on_a_full_disk(tmp_path: Path) -> None:
    with (
        ServiceProcess(folder=tmp_path, log_level="error") as service,
        httpx2.Client(base_url=service.base_url, headers=service.headers("ann"), timeout=30) as client,
    ):
        acknowledged: list[str] = []

        def append(content: str) -> int:
            answer = client.post("/chats/key:diary/messages", json={"role": "user", "content": content})
            if answer.is_success:
                acknowledged.append(content)
            else:
                assert answer.headers["content-type"] == "application/problem+json"
            return answer.status_code

        assert [append(f"before {n}") for n in range(5)] == [201] * 5
        written = (tmp_path / "data" / "chatkeep.db-wal").stat().st_size
        with full_disk(service.process_id, written + 20_000):
            statuses = [append(f"{n} " + "x" * 5_000) for n in range(12)]
            assert set(statuses) <= {201, 507}
            assert statuses[-1] == 507
            # Of a batch, nothing is stored; reading goes on; other writes are refused alike.
            batch = {"messages": [{"role": "user", "content": "y" * 5_000}] * 20}
            assert client.post("/chats/key:diary/messages", json=batch).status_code == 507
            assert client.post("/chats", json={"title": "z" * 1_000, "summary": "z" * 60_000}).status_code == 507
            assert client.get("/chats/key:diary/messages?last=1").json()["items"][0]["content"] == acknowledged[-1]
        assert append("after") == 201
        items = client.get("/chats/key:diary/messages?limit=200").json()["items"]
        assert [item["content"] for item in items] == acknowledged
        assert [item["seq"] for item in items] == list(range(1, len(acknowledged) + 1))
        assert len(client.get("/chats").json()["items"]) == 1
        assert "defect" not in service.log


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_postgres_says_of_a_full_disk_is_a_507(wrapped: bool) -> None:
    error: Exception = asyncpg.DiskFullError("could not extend file: No space left on device")
    if wrapped:
        error = DBAPIError("INSERT", {}, error)
    assert isinstance(problem_of(error), StorageFull)
