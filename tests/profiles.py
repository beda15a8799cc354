"""How much a run draws: `make test` a few examples, the same each time; `make test-all` many new ones (pytest plugin).

    @examples(fast=20, all=1000)      # a test of hypothesis
    range(count(fast=5, all=200))     # repetitions of our own; the test takes the fixture `seed` to draw them
    @pytest.mark.more_with_all        # a test that counts and draws nothing: `--all` runs it again, with all of it
    @pytest.mark.thorough             # a test, or a parameter of one, that is for `make test-all` alone
    pytestmark = pytest.mark.any_database         # runs no SQL that differs: SQLite is enough
    @pytest.mark.databases("postgres")            # there is nothing to see on the other

`pytest --all` runs what `make test` leaves out: every test that draws, with full counts and a new seed; what has more
to it; the thorough ones; and on Postgres too what any database does for. It prints the seed, and `--seed` draws the
same again.

(PYTEST_DONT_REWRITE: conftest.py imports it before pytest does.)
"""

import random
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck

SAME_EACH_TIME = 4
THOROUGH_TIMEOUT_SECONDS = 900
T = TypeVar("T")

_ALWAYS: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
_FAST = hypothesis.settings(derandomize=True, **_ALWAYS)
_ALL = hypothesis.settings(print_blob=True, **_ALWAYS)


class _Profile:
    """What was asked for on the command line, known before the first test is imported."""

    thorough = False
    seed = SAME_EACH_TIME


def count(fast: T, all: T) -> T:  # noqa: A002 - it is what --all asks for
    """How many of something, or what of it: as much as `make test` has time for, or all."""
    return all if _Profile.thorough else fast


def examples(fast: int, all: int) -> hypothesis.settings:  # noqa: A002
    """The settings of a test of hypothesis, to be used as a decorator. A machine that is busy is no failure."""
    return hypothesis.settings(_ALL if _Profile.thorough else _FAST, max_examples=count(fast, all))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all` and `--seed`."""
    group = parser.getgroup("chatkeep")
    group.addoption("--all", action="store_true", help="run what `make test` leaves out, with new examples")
    group.addoption("--seed", type=int, help="with --all: draw the examples of the run that printed this")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported that asks; processes of xdist are given the seed of the first."""
    for line in (
        "thorough: for `make test-all` alone",
        "more_with_all: counts, and draws nothing; `make test-all` runs it with all of it",
        "any_database: runs no SQL that differs, so SQLite is enough for `make test`",
        "databases(*kinds): runs on these alone",
    ):
        config.addinivalue_line("markers", line)
    if config.option.all:
        if config.option.seed is None:
            config.option.seed = random.SystemRandom().randrange(2**32)
        _Profile.thorough, _Profile.seed = True, config.option.seed
        # Many examples take longer than one test may in `make test`.
        config.option.timeout = THOROUGH_TIMEOUT_SECONDS
        config.option.hypothesis_seed = str(config.option.seed)
    hypothesis.settings.register_profile("chatkeep", _ALL if config.option.all else _FAST)
    hypothesis.settings.load_profile("chatkeep")


def pytest_report_header(config: pytest.Config) -> str | None:
    """What replays the run."""
    return f"seed: {config.option.seed} (make test-all SEED={config.option.seed})" if config.option.all else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The same once more, where it can be found."""
    if config.option.all:
        terminalreporter.write_line(f"make test-all SEED={config.option.seed} draws the same examples again")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A part of the tests may have none that draws."""
    if session.config.option.all and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def databases_of(test: pytest.Item, kinds: tuple[str, ...], *, one_is_enough: bool = False) -> tuple[str, ...]:
    """Which kinds of databases a test runs on: all, unless it says that some are enough."""
    if marker := test.get_closest_marker("databases"):
        return marker.args
    one_is_enough |= test.get_closest_marker("any_database") is not None
    return kinds[:1] if one_is_enough and not _Profile.thorough else kinds


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves what the other run has."""
    left = [item for item in items if not (_differs(item) if config.option.all else _is_for_every_run(item))]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _is_for_every_run(item: pytest.Item) -> bool:
    return item.get_closest_marker("thorough") is None


def _differs(item: pytest.Item) -> bool:
    """Whether a test has more to it with `--all` than without."""
    if item.get_closest_marker("thorough") or item.get_closest_marker("more_with_all"):
        return True
    if "seed" in getattr(item, "fixturenames", ()):
        return True
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return True
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    on_postgres_too = item.get_closest_marker("any_database") is not None and parameters.get("dialect") == "postgres"
    return on_postgres_too or parameters.get("service") == "postgres"


@pytest.fixture(scope="session")
def seed() -> int:
    """What to draw examples from: the same each time, or with `--all` a new one."""
    return _Profile.seed
