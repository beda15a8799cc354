"""The OpenAI Agents SDK's own tests of sessions, as its source distribution has them, run on `ChatkeepSession`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.sources import unpacked
from tests.servers.service import ADMIN_KEY, REPOSITORY, ServiceProcess

VERSION = "0.24.0"
SHA256 = "4b4b285f4fed81fdf1b4ac426a9101658d9cd29b4fb1aaeee18f639b77e704e3"
# With the SDK, and what its tests need.
PYTHON = REPOSITORY / "client/.venv/bin/python"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDK's source distribution, unpacked."""
    return unpacked("openai-agents", VERSION, SHA256, tmp_path_factory.mktemp("agents-sdk"))


@pytest.mark.timeout(1200)
def test_the_sdks_own_tests_pass(source: Path, fresh_database_url: str) -> None:
    assert PYTHON.exists(), "These tests need the client's environment, client/.venv: make test makes it."
    with ServiceProcess(database_url=fresh_database_url, log_level="error") as service:
        done = subprocess.run(
            [PYTHON, "tests/openai_agents/sdk.py", str(source), "-q"],
            cwd=REPOSITORY / "client",
            env={**os.environ, "CHATKEEP_URL": service.base_url, "CHATKEEP_KEY": ADMIN_KEY, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=1100,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    summary = done.stdout.strip().splitlines()[-1]
    assert "skipped" not in summary, done.stdout
    passed = re.search(r"(\d+) passed", summary)
    used = re.search(r"^(\d+) tests used \d+ sessions of Chatkeep$", done.stdout, re.MULTILINE)
    assert passed, done.stdout
    assert used, done.stdout
    assert (int(passed[1]), int(used[1])) == (983, 375), summary
