"""The service, run from the folder above on SQLite and on Postgres, for every test that asks for it."""

import contextlib
import gc
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chatkeep import Chatkeep, retries
from tests.blocking import open_client
from tests.profiles import PLUGIN, databases_of
from tests.proxy import Proxy

REPOSITORY = Path(__file__).parents[2]
DATABASES = ("sqlite", "postgres")
pytest_plugins = [PLUGIN]
# What is imported and collected stays: the garbage collector need not go through it again and again.
gc.disable()
# The sync client is made from the async one, so that a test of it is one of both; adapters use the async one as well.
BOTH = ["sync", pytest.param("async", marks=pytest.mark.thorough)]
SHARED = pytest.StashKey[contextlib.ExitStack]()
RUNNING = pytest.StashKey[str]()
_users = count()


@dataclass(frozen=True)
class Service:
    """A running service: where it listens, and a key of it that may act for any user."""

    url: str
    key: str


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


@contextlib.contextmanager
def serving(config: pytest.Config) -> Iterator[str]:
    """The service on each database, and as JSON where. Its processes end with this one, however it ends."""
    kinds = DATABASES if config.option.all else DATABASES[:1]
    command = [str(REPOSITORY / ".venv/bin/python"), "-m", "tests.servers", *kinds]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        try:
            line = process.stdout.readline()
            assert line, "the service of the tests did not start: see what it printed"
            yield line
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait(30)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before xdist starts a worker: one service on each database is for them all."""
    stash = node.config.stash
    if SHARED not in stash:
        stash[SHARED] = stack = contextlib.ExitStack()
        stash[RUNNING] = stack.enter_context(serving(node.config))
    node.workerinput["services"] = stash[RUNNING]


def pytest_collection_finish() -> None:
    """From here on garbage is collected."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the last worker: the services end."""
    if SHARED in config.stash:
        config.stash[SHARED].close()


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Iterator[dict[str, Service]]:
    """The service on each database that this run has."""
    with contextlib.ExitStack() as stack:
        running = getattr(request.config, "workerinput", {}).get("services")
        running = running or stack.enter_context(serving(request.config))
        yield {name: Service(**one) for name, one in json.loads(running).items()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The client knows nothing of databases: Postgres is for `make test-all`."""
    if "service" in metafunc.fixturenames:
        metafunc.parametrize("service", databases_of(metafunc.definition, DATABASES, one_is_enough=True), indirect=True)


@pytest.fixture
def service(request: pytest.FixtureRequest, services: dict[str, Service]) -> Service:
    """The service, on SQLite, and for another run of the test on Postgres."""
    return services[request.param]


@pytest.fixture
def user(worker_id: str) -> str:
    """A user whom no other test has."""
    return f"{worker_id}-{next(_users)}"


@pytest.fixture(params=BOTH)
def client(request: pytest.FixtureRequest, service: Service, user: str) -> Iterator[Chatkeep]:
    """The client of a user, the one that waits for one run of the test and the one that is awaited for another."""
    with open_client(request.param, service.url, service.key, user) as client:
        yield client


@pytest.fixture(params=BOTH)
def proxy(request: pytest.FixtureRequest, service: Service) -> Iterator[Proxy]:
    """A way to the service that does what it is told to; `proxy.client(user)` is a client that goes it."""
    with Proxy(service.url, service.key, request.param) as proxy:
        yield proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients wait a hundredth of what they would before they try again."""
    monkeypatch.setattr(retries, "INITIAL_WAIT", 0.005)
