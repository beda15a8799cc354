"""Lock files as uv writes them, and the machines that they are for."""

import tomllib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# As uv calls them. Linux with glibc 2.28 or newer: Debian 10, Ubuntu 20.04, RHEL 8.
PLATFORMS = {
    "x86_64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "aarch64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    "aarch64-apple-darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
}


@dataclass(frozen=True)
class Lock:
    """A lock file: the `pyproject.toml` and its groups that it is made from, and the environment it is installed in."""

    file: str
    project: str = "pyproject.toml"
    groups: tuple[str, ...] = ()
    dependencies: bool = True
    environment: str = ".venv"

    def entries(self) -> list[Requirement]:
        """Each package, with its version, extras and marker."""
        return parse((REPOSITORY / self.file).read_text())

    def asked_for(self) -> list[Requirement]:
        """What the project itself asks for."""
        content = tomllib.loads((REPOSITORY / self.project).read_text())
        listed = [content["dependency-groups"][group] for group in self.groups]
        if self.dependencies:
            listed += [
                content["project"]["dependencies"],
                *content["project"].get("optional-dependencies", {}).values(),
            ]
        return [Requirement(text) for texts in listed for text in texts]


LOCKS = (
    Lock("requirements.txt"),
    Lock("requirements-dev.txt", groups=("dev",)),
    Lock("requirements-build.txt", groups=("build",), dependencies=False),
    Lock("client/requirements-dev.txt", project="client/pyproject.toml", groups=("dev",), environment="client/.venv"),
)


def parse(text: str) -> list[Requirement]:
    """The requirements of a lock, without their hashes."""
    return [_requirement(line) for line in _lines(text)]


def without(text: str, packages: set[str]) -> str:
    """A lock less some of its packages, by their canonical names."""
    return "\n".join(line for line in _lines(text) if canonicalize_name(_requirement(line).name) not in packages)


def _lines(text: str) -> list[str]:
    """Each entry on one line."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _requirement(line: str) -> Requirement:
    return Requirement(line.partition(" --hash=")[0])


def machines() -> list[dict[str, str]]:
    """Every Python on every platform, as markers see them."""
    return [
        {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            **platform,
        }
        for python, platform in product(PYTHONS, PLATFORMS.values())
    ]


def applies(requirement: Requirement, machine: dict[str, str], extras: frozenset[str] = frozenset()) -> bool:
    """Whether a requirement holds on a machine, for a package that is taken with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**machine, "extra": extra}) for extra in extras | {""})
