"""A service that runs, and the command in both ways: through it, and beside it straight on the same database."""

from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.cli.commands import Command, asking, on_database
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess


@pytest.fixture(scope="session")
def url(dialect: str, databases: Databases) -> Iterator[str]:
    """A database for all these tests, which have users of their own."""
    made = databases.fresh(dialect)
    yield made
    databases.drop(made)


@pytest.fixture(scope="session")
def running(url: str) -> Iterator[ServiceProcess]:
    """The service, on it."""
    with ServiceProcess(database_url=url) as made:
        yield made


@pytest.fixture(params=["service", "database"])
def command(request: pytest.FixtureRequest, running: ServiceProcess, url: str) -> Command:
    """The command, in both ways."""
    return asking(running) if request.param == "service" else on_database(url)


@pytest.fixture
def ann(make_user: Callable[[], str]) -> str:
    """The id of a user of this test alone; no header can say it as it is."""
    return f"änn/{make_user()}"


@pytest.fixture
def api(running: ServiceProcess, ann: str) -> Iterator[httpx2.Client]:
    """A client of the service that acts for her."""
    headers = running.headers(str(httpx2.QueryParams({"": ann}))[1:])
    with httpx2.Client(base_url=running.base_url, headers=headers, trust_env=False, verify=False) as client:
        yield client
