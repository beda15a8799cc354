"""Holds the locks against every Python and platform that Chatkeep is for: each package has a wheel there.

`python -m tests.locks.wheels`, as `make lint` runs it. uv resolves what would be installed, and reads no more than what
the registry says of each package; nothing is downloaded or installed.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.locks.lockfile import PLATFORMS, PYTHONS, REPOSITORY, without

# What is installed into one environment is resolved at once: its locks must agree, too.
ENVIRONMENTS = (
    ("requirements.txt", "requirements-build.txt", "requirements-dev.txt"),
    ("client/requirements-dev.txt", "requirements-build.txt"),
)
# What has no wheel somewhere while nothing else can take its place, and why. What gets a wheel must leave this list.
EXCEPTIONS = {
    # google-adk, up to 2.13, asks for watchdog 6: until it does not, the client's tests take Python 3.13 on a Mac.
    ("client/requirements-dev.txt", "3.14", "aarch64-apple-darwin"): {"watchdog"},
}
NO_WHEEL = re.compile(r"Because (\S+?)(?:==\S+)? has no ")


@dataclass(frozen=True)
class Target:
    """The locks of an environment, for one Python on one platform."""

    locks: tuple[str, ...]
    python: str
    platform: str

    def __str__(self) -> str:
        return f"{self.locks[0]}, Python {self.python}, {self.platform}"


class CannotTell(Exception):
    """uv failed for another reason than a missing wheel; the message is what it said."""


def lacking(target: Target, folder: Path = REPOSITORY) -> set[str]:
    """The packages without a wheel for a target. Raises CannotTell."""
    found: set[str] = set()
    while package := _first_lacking(target, folder, found):
        found.add(package)
    return found


def _first_lacking(target: Target, folder: Path, known: set[str]) -> str | None:
    with tempfile.TemporaryDirectory() as empty:
        # Away from here: the constraints in pyproject.toml are for making the locks, and uv refuses them beside hashes.
        command = [str(Path(sys.executable).with_name("uv")), "--project", empty, "--color", "never"]
        command += ["pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        command += ["--python", sys.executable, "--target", f"{empty}/target"]
        command += ["--python-version", target.python, "--python-platform", target.platform]
        for number, lock in enumerate(target.locks):
            copy = Path(empty) / f"{number}.txt"
            copy.write_text(without((folder / lock).read_text(), known))
            command += ["--requirements", str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    if (package := NO_WHEEL.search(" ".join(done.stderr.split()))) and package[1] not in known:
        return package[1]
    raise CannotTell(done.stderr.strip())


def targets() -> Iterator[Target]:
    """Every environment for every Python on every platform."""
    for locks, python, platform in product(ENVIRONMENTS, PYTHONS, PLATFORMS):
        yield Target(locks, python, platform)


def main() -> int:
    """Prints what has no wheel, and where; gives the exit status."""
    failed = False
    with ThreadPoolExecutor(4) as pool:
        running = [(target, pool.submit(lacking, target)) for target in targets()]
        for target, future in running:
            excepted = EXCEPTIONS.get((target.locks[0], target.python, target.platform), set())
            try:
                found = future.result()
            except CannotTell as error:
                pool.shutdown(cancel_futures=True)
                print(
                    f"Whether each package has a wheel for {target} cannot be told. uv asks the registry that "
                    f"UV_DEFAULT_INDEX or uv.toml names, and says:\n{error}",
                    file=sys.stderr,
                )
                return 1
            for package in sorted(found - excepted):
                failed = True
                print(f"{target}: no wheel of {package}", file=sys.stderr)
            for package in sorted(excepted - found):
                failed = True
                print(f"{target}: {package} has a wheel; it is no exception any more", file=sys.stderr)
    if not failed:
        print(f"Wheels: {len(running)} of {len(running)} combinations of locks, Python and platform have them all.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
