"""`make lint` finds a locked package that has no wheel somewhere."""

from pathlib import Path

import pytest

from tests.locks.wheels import Target, lacking

LINUX, MAC = "x86_64-manylinux_2_28", "aarch64-apple-darwin"
# Of rs-bpe there is one release, older than Python 3.14; six is for every Python.
LOCK = """\
rs-bpe==0.1.0 \\
    --hash=sha256:059bed301e6164b483a08a53c31200a0e0e0188cff6ff3958adb4cd36ec2a6c9 \\
    --hash=sha256:069a43b87017260fb369f73f070dc2b0e08f05156ed6b9d2a19067f1d94bbe72
    # via nothing
six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
"""


@pytest.mark.parametrize("platform", [LINUX, MAC])
@pytest.mark.parametrize(("python", "expected"), [("3.11", set()), ("3.14", {"rs-bpe"})])
def test_a_package_without_a_wheel_is_named(python: str, expected: set[str], platform: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(LOCK)
    assert lacking(Target(("requirements.txt",), python, platform), tmp_path) == expected


def test_a_marker_leaves_a_package_out(tmp_path: Path) -> None:
    marked = LOCK.replace("rs-bpe==0.1.0", "rs-bpe==0.1.0 ; python_version < '3.14'")
    (tmp_path / "requirements.txt").write_text(marked)
    assert lacking(Target(("requirements.txt",), "3.14", LINUX), tmp_path) == set()
