"""The example of `docs/openai-agents.md` that runs inside the service's process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.service import REPOSITORY, is_setting

pytestmark = pytest.mark.any_database

PAGE = REPOSITORY / "docs/openai-agents.md"


def test_the_example_runs_as_printed(fresh_database_url: str, tmp_path: Path) -> None:
    [example] = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-m", "tests.scripted_model"]
    surroundings = {name: value for name, value in os.environ.items() if not is_setting(name)}
    with subprocess.Popen(
        command, cwd=REPOSITORY / "client", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as model:
        assert model.stdin
        assert model.stdout
        surroundings |= {
            "PYTHONPATH": str(REPOSITORY),
            "CHATKEEP_DATABASE_URL": fresh_database_url,
            "CHATKEEP_ADMIN_KEY": "ck_tests_only_not_a_secret",
            "OPENAI_BASE_URL": json.loads(model.stdout.readline())["url"],
            "OPENAI_API_KEY": "any",
            # Traces would go to OpenAI.
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=60
        )
        model.stdin.close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["You said: How long does an egg boil?", "2 items are kept."]
