"""Exports of a running service: cut off where they break, gone when their client goes, never in the way."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import psutil  # type: ignore[import-untyped]
import pytest

from app.exporting.exporter import MAX_JOBS
from tests.callers import ok
from tests.profiles import count
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess

# More than what a client that reads nothing leaves in the buffers on the way.
MESSAGES, BYTES = 2000, 9000
TOTAL = MESSAGES * BYTES
IDENTITY = {"Accept-Encoding": "identity"}
FORMS = [("jsonl", "identity"), ("jsonl", "gzip"), ("jsonl", "zstd"), ("json", "identity")]


@contextmanager
def filled(url: str) -> Iterator[tuple[ServiceProcess, httpx2.Client]]:
    """A service, and a client of it for a user with one long chat, of texts that compress badly."""
    with (
        ServiceProcess(database_url=url, search="false") as service,
        httpx2.Client(base_url=service.base_url, headers=service.headers("ann"), trust_env=False, timeout=60) as client,
    ):
        for _ in range(MESSAGES // 1000):
            messages = [{"role": "user", "content": os.urandom(BYTES // 2).hex()} for _ in range(1000)]
            ok(client.post("/chats/key:long/messages", json={"messages": messages}))
        yield service, client


@pytest.fixture(scope="module")
def shared(dialect: str, databases: Databases) -> Iterator[tuple[ServiceProcess, httpx2.Client, str]]:
    """Such a service for tests that leave it as it was, and the URL of its database."""
    url = databases.fresh(dialect)
    with filled(url) as (service, client):
        yield service, client, url
    databases.drop(url)


@pytest.fixture
def own(fresh_database_url: str) -> Iterator[tuple[ServiceProcess, httpx2.Client, str]]:
    """Such a service for a test alone."""
    with filled(fresh_database_url) as (service, client):
        yield service, client, fresh_database_url


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether something holds before long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def threads(service: ServiceProcess) -> int:
    """How many threads the service has: one for each export, and others that it keeps."""
    return int(psutil.Process(service.process_id).num_threads())


def test_memory_does_not_grow_with_what_is_exported(shared: tuple[ServiceProcess, httpx2.Client, str]) -> None:
    service, client, _ = shared
    process = psutil.Process(service.process_id)
    peaks = []
    for form in ("jsonl", "html", "json", "jsonl"):
        before = process.memory_info().rss
        size = peak = 0
        with client.stream("GET", "/export", params={"format": form}, headers=IDENTITY) as response:
            for chunk in response.iter_raw():
                size += len(chunk)
                peak = max(peak, process.memory_info().rss)
        assert size > TOTAL
        peaks.append(peak - before)
    assert max(peaks) < 10 * 2**20, peaks


@pytest.mark.databases("postgres")
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_an_export_whose_connection_is_ended_has_no_end(
    shared: tuple[ServiceProcess, httpx2.Client, str], form: tuple[str, str]
) -> None:
    service, client, url = shared
    has_no_end(service, client, form, lambda: asyncio.run(end_transactions(url)))
    # The service goes on.
    assert ok(client.get("/chats/key:long"))["message_count"] == MESSAGES


@pytest.mark.more_with_all
@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("form", count(fast=FORMS[:1], all=FORMS), ids="-".join)
def test_an_export_whose_file_is_damaged_has_no_end(
    own: tuple[ServiceProcess, httpx2.Client, str], form: tuple[str, str]
) -> None:
    service, client, url = own

    def damage() -> None:
        path = url.removeprefix("sqlite:///")
        for suffix in ("", "-wal"):
            if Path(path + suffix).exists():
                os.truncate(path + suffix, 4096)

    has_no_end(service, client, form, damage)


def has_no_end(
    service: ServiceProcess, client: httpx2.Client, form: tuple[str, str], take_away: Callable[[], None]
) -> None:
    """An export whose database is taken away is cut off, so that nobody takes it for whole."""
    before = len(service.log)
    headers = {"Accept-Encoding": form[1]}
    with client.stream("GET", "/export", params={"format": form[0]}, headers=headers) as response:
        assert response.status_code == 200
        chunks = response.iter_raw(4096)
        next(chunks)
        take_away()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(chunks)
    assert "an export broke off" in service.log[before:]


# More than exports may run at once: one whose place is not free again is refused.
BROKEN_OFF = MAX_JOBS + 4


async def end_transactions(url: str) -> None:
    """Ends the connections of a Postgres that have a transaction open."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE xact_start IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


def begins(client: httpx2.Client) -> bool:
    """Begins an export whose thread then waits for the client, and breaks it off. Says whether it was not refused."""
    with client.stream("GET", "/export", headers=IDENTITY) as response:
        return response.is_success and bool(next(response.iter_raw(4096)))


def test_nothing_is_left_when_the_client_goes(shared: tuple[ServiceProcess, httpx2.Client, str]) -> None:
    service, client, _ = shared
    logged = len(service.log)
    client.get("/export")
    before = threads(service)
    for _ in range(BROKEN_OFF):
        # Refused while the places of those before are not free yet.
        assert until(lambda: begins(client))
    # A thread that stayed for each would be seen among the few that come and go with other work.
    assert until(lambda: threads(service) < before + BROKEN_OFF // 2)
    assert len(ok(client.get("/export?format=json"))[0]["messages"]) == MESSAGES
    assert "broke off" not in service.log[logged:]
    assert "defect" not in service.log[logged:]


def test_a_client_that_does_not_read_holds_up_nobody(shared: tuple[ServiceProcess, httpx2.Client, str]) -> None:
    service, client, _ = shared
    with client.stream("GET", "/export", headers=IDENTITY) as response:
        chunks = response.iter_raw(4096)
        next(chunks)
        with httpx2.Client(base_url=service.base_url, headers=client.headers, trust_env=False, timeout=30) as other:
            for _ in range(20):
                # Its timeout is that of every client here: whoever is held up is so for as long as nobody reads.
                ok(other.post("/chats/key:later/messages", json={"role": "user", "content": "later"}))
            body = b"".join(chunks)
            ok(other.delete("/chats/key:later", params={"hard": True}))
        # What was written meanwhile is not in it.
        assert body.endswith(b'{"record":"end","chats":1,"messages":%d}\n' % MESSAGES)


@pytest.mark.any_database
def test_an_export_is_cut_off_when_the_service_stops(own: tuple[ServiceProcess, httpx2.Client, str]) -> None:
    service, client, _ = own
    with client.stream("GET", "/export", headers=IDENTITY) as response:
        chunks = response.iter_raw(4096)
        next(chunks)
        os.kill(service.process_id, signal.SIGTERM)
        with pytest.raises(httpx2.TransportError):
            list(chunks)
        assert service.wait(60) in (0, -signal.SIGTERM)
        assert "exceeded" not in service.log
