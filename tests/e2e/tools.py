"""What these tests need beside Python; without it they fail, and say what to install."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = 20
HOW = "On Debian and Ubuntu: {}. `bash .ci/run` installs what is missing, as root on Debian."


def node() -> str:
    """Where Node is, with the packages of `package.json` installed for it."""
    path = _tool("node", apt="apt install nodejs npm")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE:
        pytest.fail(
            f"These tests need Node {NODE} or newer, and {path} is {version}: nodejs.org has others.", pytrace=False
        )
    for package in ("oidc-provider", "playwright-core"):
        if not (HERE / "node_modules" / package).is_dir():
            pytest.fail("These tests need some packages for Node: npm ci --prefix tests/e2e", pytrace=False)
    return path


def chromium() -> str:
    """Where Chromium is."""
    return _tool("chromium", "chromium-browser", "google-chrome", apt="apt install chromium")


def curl() -> str:
    """Where curl is."""
    return _tool("curl", apt="apt install curl")


def _tool(*names: str, apt: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.fail(f"These tests need {names[0]}, which is not on the PATH. {HOW.format(apt)}", pytrace=False)
