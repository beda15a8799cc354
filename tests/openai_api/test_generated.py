"""The plugin for the openai package's generated tests, on a test that is as those are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.service import ServiceProcess

pytestmark = pytest.mark.any_database

CONFTEST = """
import os, openai, pytest

base_url = os.environ.get("TEST_API_BASE_URL", "http://127.0.0.1:1")

@pytest.fixture
def client():
    with openai.OpenAI(base_url=base_url, api_key="My API Key", _strict_response_validation=True) as client:
        yield client
"""
TEST = """
import pytest

@pytest.mark.parametrize("attempt", [1, 2])
def test_calls(client, attempt):
    items = client.conversations.items
    assert client.conversations.create().metadata == {}
    assert client.conversations.retrieve("conv_123").metadata == {}
    assert client.conversations.update("conv_123", metadata={"foo": "string"}).metadata == {"foo": "string"}
    assert items.retrieve("msg_abc", conversation_id="conv_123").role == "user"
    assert len(items.list("conv_123").data) == 2
    assert len(items.list("conv_123", after="after", limit=0, order="asc").data) == 1
    assert len(items.create("conv_123", items=[{"role": "user", "content": "string"}]).data) == 1
    assert items.delete("msg_abc", conversation_id="conv_123").object == "conversation"
    assert client.conversations.delete("conv_123").deleted
"""


def test_the_names_in_generated_tests_get_a_meaning(running: ServiceProcess, user_id: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_calls.py").write_text(TEST)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent),
        "CHATKEEP_URL": running.base_url,
        "CHATKEEP_KEY": running.admin_key or "",
        "CHATKEEP_USER": user_id,
        "NO_PROXY": "*",
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "generated", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr
