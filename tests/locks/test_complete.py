"""Every requirement of every locked package is itself in the lock: an installation asks no registry what else to take.

What a package requires is read from the environment that the lock is installed in, for each Python and each platform
that it is for. What is only installed elsewhere, such as on another platform, cannot be asked here.
"""

import json
import subprocess

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.locks.lockfile import LOCKS, REPOSITORY, Lock, applies, machines

# Printed by the environment's own Python: one of the client's is not ours.
INSTALLED = """
import json
from importlib.metadata import distributions
print(json.dumps({each.metadata["Name"]: [each.version, each.requires or []] for each in distributions()}))
"""


def installed(lock: Lock) -> dict[NormalizedName, tuple[str, list[Requirement]]]:
    """The version and the requirements of each package in the environment that a lock is for."""
    python = REPOSITORY / lock.environment / "bin" / "python"
    assert python.exists(), f"make {lock.environment}/.dev installs it"
    printed = subprocess.run([python, "-c", INSTALLED], check=True, capture_output=True, text=True).stdout
    return {
        canonicalize_name(name): (version, [Requirement(text) for text in requires])
        for name, (version, requires) in json.loads(printed).items()
    }


def missing(
    asked_for: list[Requirement],
    entries: list[Requirement],
    known: dict[NormalizedName, tuple[str, list[Requirement]]],
    machine: dict[str, str],
) -> set[str]:
    """What the project or a locked package asks for on a machine, and is not locked there as it is asked for."""
    locked: dict[NormalizedName, tuple[str, frozenset[str]]] = {}
    for entry in entries:
        if applies(entry, machine):
            name = canonicalize_name(entry.name)
            (version,) = (each.version for each in entry.specifier)
            locked[name] = version, frozenset(entry.extras) | locked.get(name, ("", frozenset()))[1]
    waiting = [("the project", each) for each in asked_for if applies(each, machine)]
    for name, (_, extras) in locked.items():
        requirements = known[name][1] if name in known else []
        waiting += [(name, each) for each in requirements if applies(each, machine, extras)]
    found = set()
    for who, requirement in waiting:
        version, extras = locked.get(canonicalize_name(requirement.name), ("", frozenset()))
        satisfied = version and requirement.specifier.contains(version, prereleases=True)
        if not satisfied or not requirement.extras <= extras:
            found.add(f"{who} asks for {requirement}")
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_all_that_is_required_is_locked(lock: Lock) -> None:
    asked_for, entries, known = lock.asked_for(), lock.entries(), installed(lock)
    assert {each for machine in machines() for each in missing(asked_for, entries, known, machine)} == set()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_what_is_locked_is_what_is_installed(lock: Lock) -> None:
    here = [entry for entry in lock.entries() if entry.marker is None or entry.marker.evaluate()]
    locked = {(canonicalize_name(entry.name), each.version) for entry in here for each in entry.specifier}
    assert locked - {(name, version) for name, (version, _) in installed(lock).items()} == set()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["a[x]==1", "b==1", "c==2"], set()),
        (["a==1", "b==1", "c==2"], {"the project asks for a[x]"}),
        (["a[x]==1", "b==1"], {"a asks for c>=2"}),
        (["a[x]==1", "b==1", "c==1"], {"a asks for c>=2"}),
        (["a[x]==1", "c==2"], {'a asks for b; extra == "x"'}),
        (["a[x]==1", "b==1", "c==2; python_version < '3.12'"], {"a asks for c>=2"}),
        (["a[x]==1", "b==1", "c==2; python_version >= '3.12'"], {"a asks for c>=2"}),
    ],
)
def test_what_is_missing_is_found(entries: list[str], expected: set[str]) -> None:
    requires = ["b; extra == 'x'", "c>=2", "d; sys_platform == 'win32'", "e; extra == 'y'"]
    known = {canonicalize_name("a"): ("1", [Requirement(text) for text in requires])}
    locked = [Requirement(text) for text in entries]
    asked_for = [Requirement("a[x]")]
    assert {each for machine in machines() for each in missing(asked_for, locked, known, machine)} == expected
