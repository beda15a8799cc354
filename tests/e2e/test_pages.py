"""Every `sh` block of the README and of `docs/` runs as printed, in a first installation that serves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import tools
from tests.servers.service import ADMIN_KEY, REPOSITORY, ServiceProcess

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:sh|bash|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_what_is_printed_runs(page: Path) -> None:
    text = page.read_text()
    # One shell for a page; its trace says where it stopped.
    script = "".join(
        f"echo '--- line {text.count(chr(10), 0, block.start()) + 2}' >&2\n{block[1]}" for block in BLOCK.finditer(text)
    )
    tools.curl()
    with ServiceProcess() as service:
        commands = str(Path(sys.executable).parent)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            # Where `data/` is: commands that work on the database find this service's.
            cwd=service.folder,
            env={
                **os.environ,
                "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
                "CHATKEEP_URL": service.base_url,
                "CHATKEEP_KEY": ADMIN_KEY,
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, f"{page.name} stopped with {done.returncode}:\n{done.stderr}\n{done.stdout}"
