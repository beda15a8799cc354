"""Chatkeep as a process: its first start, several workers, its end, and a port that is taken."""

import asyncio
import contextlib
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.callers import acting, every_item, started
from tests.conftest import settings_for
from tests.profiles import count
from tests.servers.service import ServiceProcess, StartService

KEY = re.compile(r"\bck_[\w-]{20,}")
CLIENTS = 16
# By itself, or by the signal that asked it to, raised again once everything was done.
ENDED_WELL = (0, -signal.SIGTERM)


@pytest.fixture
def new_installation(dialect: str, empty_database_url: str, tmp_path: Path) -> ServiceProcess:
    """A service in an empty folder, with no setting but where its Postgres is."""
    settings: dict[str, Any] = {"database_url": empty_database_url} if dialect == "postgres" else {}
    return ServiceProcess(folder=tmp_path, admin_key=None, **settings)


def test_the_first_start_makes_everything_and_says_how_to_call_it_once(
    new_installation: ServiceProcess, dialect: str, tmp_path: Path
) -> None:
    with new_installation as service:
        assert (tmp_path / "data" / "chatkeep.db").exists() == (dialect == "sqlite")
        first = service.log
        keys = set(KEY.findall(first))
        assert len(keys) == 1
        assert service.base_url in first
        answer = by_hand(next(line for line in first.splitlines() if line.strip().startswith("curl ")))
        assert answer.is_success, answer.text

        assert service.terminate() in ENDED_WELL
        service.start()
        second = service.log.removeprefix(first)
        assert service.base_url in second
        assert not KEY.search(second)
        chats = httpx2.get(
            f"{service.base_url}/chats", headers={"Authorization": f"Bearer {keys.pop()}", "X-User-Id": "ada"}
        )
        assert chats.status_code == 200


def by_hand(line: str) -> httpx2.Response:
    """What curl would do with a line as printed; curl itself need not be there."""
    arguments = iter(shlex.split(line)[1:])
    url, method, body, headers = "", "", None, []
    for argument in arguments:
        match argument:
            case "-H" | "--header":
                name, _, value = next(arguments).partition(":")
                headers.append((name, value.strip()))
            case "-d" | "--data" | "--json":
                body = next(arguments)
                headers += [("Content-Type", "application/json")] if argument == "--json" else []
            case "-X" | "--request":
                method = next(arguments)
            case _ if not argument.startswith("-"):
                url = argument
    return httpx2.request(method or ("POST" if body else "GET"), url, headers=headers, content=body, trust_env=False)


class Writers:
    """Clients that append to one chat, each message with a text of its own, until they cannot."""

    def __init__(self, service: ServiceProcess, user_id: str) -> None:
        self.url = f"{service.base_url}/chats/key:load/messages"
        self.headers = service.headers(user_id)
        self.sent = 0
        self.acknowledged: dict[int, str] = {}
        self.refused: list[httpx2.Response] = []
        self.stopping = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until the block ends; a client that finds nobody listening has ended by itself."""
        tasks = [asyncio.create_task(self._write()) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            self.stopping = True
            await asyncio.gather(*tasks)

    async def have_written(self, count: int) -> None:
        """Waits until so many messages were acknowledged."""
        async with asyncio.timeout(60):
            while len(self.acknowledged) < count:
                await asyncio.sleep(0.02)

    async def _write(self) -> None:
        async with httpx2.AsyncClient(headers=self.headers, timeout=30, trust_env=False, verify=False) as client:
            while not self.stopping:
                self.sent += 1
                text = f"message {self.sent}"
                try:
                    answer = await client.post(self.url, json={"role": "user", "content": text})
                except httpx2.TransportError:
                    return
                if answer.status_code == 201:
                    self.acknowledged[answer.json()["seq"]] = text
                else:
                    self.refused.append(answer)
                    await asyncio.sleep(0.05)


async def everything(writers: Writers, client: httpx2.AsyncClient) -> dict[int, str]:
    """Every message of the chat by its seq, read page by page."""
    messages = await every_item(client, "/chats/key:load/messages")
    return {message["seq"]: message["content"] for message in messages}


@pytest.mark.more_with_all
@pytest.mark.parametrize("workers", [1, count(fast=2, all=4)])
async def test_after_sigterm_every_accepted_request_is_answered(
    service: StartService, fresh_database_url: str, tmp_path: Path, workers: int
) -> None:
    running = service(workers=workers)
    writers = Writers(running, "ada")
    async with writers.running():
        await writers.have_written(count(fast=100, all=300))
        assert not writers.refused, running.log
        assert await asyncio.to_thread(running.terminate) in ENDED_WELL
    # A request that the closing socket turned away had no effect; one that was stored was answered.
    assert {answer.status_code for answer in writers.refused} <= {503}
    async with started(settings_for(fresh_database_url, tmp_path)) as app, acting(app, writers.headers) as client:
        assert await everything(writers, client) == writers.acknowledged


@pytest.mark.thorough  # test_processes.py has the like in `make test`
async def test_four_workers_agree_on_chats_and_their_order(service: StartService) -> None:
    running = service(workers=4)
    writers = Writers(running, "ada")
    async with writers.running():
        await writers.have_written(300)
    assert not writers.refused, running.log
    assert sorted(writers.acknowledged) == list(range(1, writers.sent + 1))
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=running.base_url, headers=writers.headers, timeout=30, trust_env=False)
            )
            for _ in range(CLIENTS)
        ]
        assert await everything(writers, clients[0]) == writers.acknowledged
        for number in range(40):
            url = f"{running.base_url}/chats/key:new-{number}/messages"
            answers = await asyncio.gather(*(one.post(url, json={"role": "user", "content": "!"}) for one in clients))
            assert {answer.status_code for answer in answers} == {201}, running.log
            assert len({answer.json()["chat_id"] for answer in answers}) == 1
            assert sorted(answer.json()["seq"] for answer in answers) == list(range(1, len(clients) + 1))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_named(tmp_path: Path, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = ServiceProcess(folder=tmp_path, port=port, workers=workers)
        service.launch()
        try:
            assert service.wait(15) != 0
        except subprocess.TimeoutExpired:
            service.kill()
            pytest.fail(f"It still runs:\n{service.log}")
    assert str(port) in service.log
    assert "in use" in service.log
    assert "Traceback" not in service.log
