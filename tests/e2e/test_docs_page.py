"""`/docs` in a real browser that reaches nothing but this machine."""

import json
import subprocess

import httpx2
import pytest

from tests.e2e import tools
from tests.servers.service import ADMIN_KEY, ServiceProcess


@pytest.mark.timeout(500)
def test_docs_work_without_the_internet() -> None:
    node, chromium = tools.node(), tools.chromium()
    with ServiceProcess() as service:
        document = httpx2.get(f"{service.base_url}/openapi.json", trust_env=False).json()
        asked = {"chromium": chromium, "url": service.base_url, "key": ADMIN_KEY, "user": "ann"}
        browser = subprocess.run(
            [node, "browser.mjs"], cwd=tools.HERE, input=json.dumps(asked), capture_output=True, text=True, timeout=450
        )
    assert browser.returncode == 0, browser.stderr
    seen = json.loads(browser.stdout)

    assert seen["errors"] == []
    assert [url for url in seen["requests"] if not url.startswith((f"{service.base_url}/", "data:"))] == []
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert sorted(seen["operations"]) == sorted(operations)
    assert seen["unrendered"] == 0

    appended = seen["answers"]["post /chats/{chat}/messages"]
    assert appended["status"] == 201, appended
    chats = seen["answers"]["get /chats"]
    assert chats["status"] == 200, chats
    assert [(chat["key"], chat["message_count"]) for chat in chats["body"]["items"]] == [("tried/out", 1)]
    assert seen["authorized_after_reload"]
