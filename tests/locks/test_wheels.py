"""The check of the wheels where no registry answers. With one, it is tested in `tests/e2e`."""

import os
import subprocess
import sys

from tests.locks.lockfile import REPOSITORY


def test_without_a_registry_it_fails_and_says_why() -> None:
    unreachable = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.locks.wheels"],
        cwd=REPOSITORY,
        env={**os.environ, **unreachable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cannot be told" in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
