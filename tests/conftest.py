"""What every test can ask for. Tests share a database within a process, and keep apart by having users of their own."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.callers import acting, started
from tests.profiles import databases_of
from tests.servers.citus import CITUS_URL, is_cluster
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ADMIN_KEY, ServiceProcess, StartService, is_setting

pytest_plugins = ["tests.profiles", "tests.user_paths"]

# What is imported and collected stays: the garbage collector need not go through it again and again.
gc.disable()

# A developer's settings are no business of the tests.
for name in [name for name in os.environ if is_setting(name)]:
    del os.environ[name]
Settings.model_config["env_file"] = None

SHARED = pytest.StashKey[Databases]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before xdist starts a worker: one Postgres and one pair of templates serve them all."""
    stash = node.config.stash
    if SHARED not in stash:
        stash[SHARED] = Databases().__enter__()
    node.workerinput["databases"] = stash[SHARED].handle


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the last worker: the databases go."""
    if SHARED in config.stash:
        config.stash[SHARED].__exit__(None, None, None)


def pytest_collection_finish() -> None:
    """From here on garbage is collected."""
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever asks for `dialect`, or for something that does, runs on both, unless it says that one is enough."""
    given = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")]
    if "dialect" in metafunc.fixturenames and not any("dialect" in names for names in given):
        kinds = DIALECTS[1:] if CITUS_URL else DIALECTS
        metafunc.parametrize("dialect", databases_of(metafunc.definition, kinds), indirect=True, scope="session")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Async tests run on uvloop, as the service does."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Where databases come from."""
    handle = getattr(request.config, "workerinput", {}).get("databases")
    if handle:
        yield Databases.join(handle)
    else:
        with Databases() as made:
            yield made


@pytest.fixture(scope="session")
def dialect(request: pytest.FixtureRequest) -> str:
    """`sqlite`, then `postgres`: whatever asks for it, or for something that does, runs on both; see tests.profiles."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def database_url(dialect: str, databases: Databases) -> Iterator[str]:
    """A migrated database, shared by the tests of this process."""
    url = databases.fresh(dialect)
    yield url
    databases.drop(url)


@pytest.fixture
def fresh_database_url(dialect: str, databases: Databases) -> Iterator[str]:
    """A migrated database for this test alone."""
    url = databases.fresh(dialect)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(dialect: str, databases: Databases) -> Iterator[str]:
    """A database for this test alone that was never migrated."""
    url = databases.empty(dialect)
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of `app`; `settings.model_copy(update=…)` gives others."""
    return settings_for(database_url, tmp_path_factory.mktemp("data"))


def settings_for(database_url: str, data_dir: Path) -> Settings:
    """Settings as tests want them: the admin key known, nothing from a `.env`, and no line logged for every request."""
    given = {"database_url": database_url, "data_dir": data_dir, "citus": is_cluster(database_url)}
    return Settings.model_validate({**given, "admin_key": ADMIN_KEY, "log_level": "warning"})


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service inside this process, started."""
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app`; what the app raises reaches the test."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as made:
        yield made


@pytest.fixture(scope="session")
def admin() -> dict[str, str]:
    """The headers of the admin key, for nobody in particular."""
    return {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(scope="session")
def make_user() -> Callable[[], str]:
    """Gives the id of a user that nobody has seen yet."""
    return lambda: f"user-{uuid4()}"


@pytest.fixture(scope="session")
def as_user(admin: dict[str, str]) -> Callable[[str], dict[str, str]]:
    """Gives the headers of a caller who is that user."""
    return lambda user_id: {**admin, "X-User-Id": user_id}


@pytest.fixture
async def me(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` that acts for a user of its own."""
    async with acting(app, as_user(make_user())) as made:
        yield made


@pytest.fixture(scope="module")
async def second(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service once more on the same database, with a writer, a cache and followers of its own."""
    async with started(settings) as made:
        yield made


@pytest.fixture
async def me_too(second: FastAPI, me: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `second` that acts for the same user as `me`."""
    async with acting(second, dict(me.headers)) as client:
        yield client


@pytest.fixture
def service(fresh_database_url: str) -> Iterator[StartService]:
    """Starts the service as a process, on a database of its own; takes settings by name, such as `workers=4`."""
    started: list[ServiceProcess] = []

    def start(**settings: Any) -> ServiceProcess:
        started.append(ServiceProcess(**({"database_url": fresh_database_url} | settings)))
        return started[-1].__enter__()

    yield start
    for process in started:
        process.__exit__(None, None, None)
