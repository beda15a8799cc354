"""A pytest plugin: the openai package's own generated tests run against a service, as they are.

They name a conversation and an item that no service has (`conv_123`, `msg_abc`), and a key that none takes. What they
send goes through a proxy that makes new ones for each call and writes those in their place. See `docs/openai.md`.
It imports nothing of ours: it runs where those tests are.
"""

import json
import os
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

URL, KEY, USER = "CHATKEEP_URL", "CHATKEEP_KEY", "CHATKEEP_USER"
# Where the tests look for the service.
TESTED = "TEST_API_BASE_URL"
# It asks for none at all, which is not allowed; those of a mock server never look.
NO_LIMIT, A_LIMIT = "limit=0", "limit=1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - it is called so
        """Nothing is logged."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path
        if "conv_123" in path:
            conversation = json.loads(_ask("POST", "/conversations", b"{}")[1])["id"]
            items = json.dumps({"items": [{"role": "user", "content": word} for word in ("one", "two")]}).encode()
            item = json.loads(_ask("POST", f"/conversations/{conversation}/items", items)[1])["first_id"]
            path = path.replace("conv_123", conversation).replace("msg_abc", item)
            path = path.replace("after=after", f"after={item}").replace(NO_LIMIT, A_LIMIT)
        status, answer, kind = _ask(self.command, path, body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - as they are called


def _ask(method: str, path: str, body: bytes) -> tuple[int, bytes, str]:
    """What the service answers: the status, the body and its type."""
    service = urlsplit(os.environ[URL])
    connection = HTTPConnection(service.hostname or "", service.port)
    headers = {"Authorization": f"Bearer {os.environ[KEY]}", "Content-Type": "application/json"}
    if user := os.environ.get(USER):
        headers["X-User-Id"] = user
    connection.request(method, f"{service.path}/v1{path}", body, headers)
    answer = connection.getresponse()
    given = answer.status, answer.read(), answer.getheader("Content-Type", "")
    connection.close()
    return given


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before their conftest asks where the service is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ[TESTED] = f"http://127.0.0.1:{server.server_port}"
