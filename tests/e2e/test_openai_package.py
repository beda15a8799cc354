"""The openai package's own generated tests of conversations, as its source distribution has them, on `/v1`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.sources import unpacked
from tests.servers.service import ADMIN_KEY, REPOSITORY, ServiceProcess

VERSION = "3.54.0"
SHA256 = "2e393e63f8a38be6452806f9ef0b6534fecd6d41ab3b2165180dfce3599249cd"
# With the package, and what its tests need.
PYTHON = REPOSITORY / "client/.venv/bin/python"
TESTS = ("tests/api_resources/test_conversations.py", "tests/api_resources/conversations")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's source distribution, unpacked."""
    return unpacked("openai", VERSION, SHA256, tmp_path_factory.mktemp("openai"))


@pytest.mark.timeout(600)
def test_the_packages_own_tests_pass(source: Path, fresh_database_url: str) -> None:
    assert PYTHON.exists(), "These tests need the client's environment, client/.venv: make test makes it."
    with ServiceProcess(database_url=fresh_database_url, log_level="error") as service:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTEST_"))}
        done = subprocess.run(
            [PYTHON, "-m", "pytest", "-q", "-p", "generated", "-n", "0", *TESTS],
            cwd=source,
            env=kept
            | {
                "CHATKEEP_URL": service.base_url,
                "CHATKEEP_KEY": ADMIN_KEY,
                "CHATKEEP_USER": "generated",
                "PYTHONPATH": str(REPOSITORY / "tests/openai_api"),
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=500,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.strip().splitlines()[-1].startswith("175 passed"), done.stdout
