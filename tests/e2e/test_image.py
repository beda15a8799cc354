"""What the Dockerfile does, without an engine: install, compile, serve as another user from a tree it cannot write."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.dockerfile import Builder, Image
from tests.servers.postgres import free_port
from tests.servers.service import REPOSITORY

# Installing what is locked takes a minute or two.
pytestmark = pytest.mark.timeout(900)

KEY = re.compile(r"\bck_[\w-]{20,}")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built."""
    if os.geteuid() != 0:
        pytest.fail(
            "Serving as another user needs root: run this test as root, or the image with Docker.", pytrace=False
        )
    # Not pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="chatkeep-image-"))
    try:
        folder.chmod(0o755)
        yield Builder(REPOSITORY / "Dockerfile", folder / "root").build()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def everything(root: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder of a tree but its data, with its size and when it was changed."""
    found = {}
    for path in root.rglob("*"):
        if path.relative_to(root).parts[0] != "data":
            state = path.lstat()
            found[str(path.relative_to(root))] = (state.st_size, state.st_mtime_ns)
    return found


@contextlib.contextmanager
def container(image: Image, port: int) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's command as its user, with the image's environment alone; gives that too."""
    environment = {**image.environment, "CHATKEEP_HOST": "127.0.0.1", "CHATKEEP_PORT": str(port)}
    process = subprocess.Popen(
        [shutil.which(image.entrypoint[0], path=environment["PATH"]) or "", *image.entrypoint[1:], *image.command],
        cwd=image.workdir,
        env=environment,
        user=image.user,
        group=image.user,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, environment
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def healthy(image: Image, environment: dict[str, str]) -> bool:
    """What the health check says, run as an engine runs it."""
    program = shutil.which(image.healthcheck[0], path=environment["PATH"]) or ""
    check = [program, *image.healthcheck[1:]]
    who = {"user": image.user, "group": image.user, "extra_groups": []}
    return subprocess.run(check, env=environment, capture_output=True, timeout=30, check=False, **who).returncode == 0  # type: ignore[call-overload, no-any-return]


def test_it_serves_as_another_user_from_a_tree_that_it_does_not_write(image: Image) -> None:
    before, port = everything(image.root), free_port()
    with container(image, port) as (process, environment):
        assert not healthy(image, environment)
        deadline = time.monotonic() + 60
        while not healthy(image, environment) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if process.poll() is not None:
            assert process.stdout
            pytest.fail(f"It ended with {process.returncode}:\n{process.stdout.read()}")
        assert process.stdout
        key = next(found for line in process.stdout if (found := KEY.search(line)))[0]
        headers = {"Authorization": f"Bearer {key}", "X-User-Id": "ann"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client:
            text = "How do I boil an egg?"
            client.post("/chats/key:eggs/messages", json={"role": "user", "content": text}).raise_for_status()
            # With the vocabulary, which is in the image.
            context = client.get("/chats/key:eggs/context", params={"max_tokens": 100}).raise_for_status().json()
        assert context["tokens"] > len(text.split())
        assert text in str(context)
        process.terminate()
        assert process.wait(15) in (0, -signal.SIGTERM)
    assert everything(image.root) == before
    database = image.root / "data" / "chatkeep.db"
    assert database.stat().st_uid == image.user


def test_it_has_what_is_needed_to_serve_and_no_more(image: Image) -> None:
    assert image.user not in (0, os.geteuid())
    assert [path.name for path in (image.root / "opt/venv/bin").glob("pip*")] == []
    sources = [path for folder in ("app", "alembic") for path in (Path(image.workdir) / folder).rglob("*.py")]
    assert sources
    compiled = {path.name.partition(".")[0] for path in Path(image.workdir).rglob("__pycache__/*.pyc")}
    assert sorted({path.stem for path in sources} - compiled) == []
