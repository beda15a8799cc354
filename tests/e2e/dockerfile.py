"""Carries out a Dockerfile without a container engine: in a folder that stands for the root of the image.

Paths under `OURS` are put below that folder, in commands and settings alike; for everything else the machine's own
tools are taken, and its Python for the base image's. Adding users is left out: they go by number.
"""

import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.service import is_setting

OURS = ("opt", "srv", "data")
_OURS = re.compile(rf"(?<![\w./])/(?={'|'.join(OURS)}\b)")
# Where the base image has its Python.
PYTHON_FOLDER = "usr/local"


@dataclass
class Image:
    """What was built: its root, and how a container of it starts."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def place(self, text: str) -> str:
        """A text with the paths of the image as they are on this machine."""
        return _OURS.sub(f"{self.root}/", text)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a container: where programs and Python's library are, and what the Dockerfile sets."""
        python = self.root / PYTHON_FOLDER
        path = f"{python / 'bin'}:{os.defpath}:/usr/sbin:/sbin"
        return {"PATH": path, "LD_LIBRARY_PATH": str(python / "lib"), **self.env}


class Builder:
    """Builds the stages one after another, each in `root`; an earlier one that is done waits beside it."""

    def __init__(self, dockerfile: Path, root: Path) -> None:
        self._context = dockerfile.parent
        self._dockerfile = dockerfile
        self._root = root
        self._stages: dict[str, Path] = {}
        self._name = ""
        self.image = Image(root)

    def build(self) -> Image:
        """Carries out every instruction; gives the last stage. Raises AssertionError for one that is not known here."""
        for instruction, rest in instructions(self._dockerfile.read_text()):
            action = getattr(self, f"_{instruction.lower()}", None)
            assert action, f"{instruction} is not known to {Path(__file__).name}"
            action(rest)
        return self.image

    def _from(self, rest: str) -> None:
        if self._name:
            self._stages[self._name] = self._root.rename(self._root.with_name(f"{self._root.name}-{self._name}"))
        self._name = rest.partition(" AS ")[2]
        self.image = Image(self._root)
        self._root.mkdir(mode=0o755)
        base_image(self._root / PYTHON_FOLDER)

    def _env(self, rest: str) -> None:
        for assignment in shlex.split(rest):
            name, _, value = assignment.partition("=")
            value = string.Template(value).safe_substitute(self.image.environment)
            self.image.env[name] = self.image.place(value)

    def _workdir(self, rest: str) -> None:
        self.image.workdir = self.image.place(rest)
        Path(self.image.workdir).mkdir(parents=True, exist_ok=True)

    def _run(self, rest: str) -> None:
        # How the machine reaches a registry is its own affair; settings of ours are not.
        inherited = {name: value for name, value in os.environ.items() if not is_setting(name) and name[:6] != "PYTHON"}
        environment = {**inherited, **self.image.environment}
        done = subprocess.run(
            ["/bin/sh", "-ec", self.image.place(rest)],
            cwd=self.image.workdir,
            env=environment,
            umask=0o022,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"RUN {rest}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"

    def _copy(self, rest: str) -> None:
        *sources, target = shlex.split(rest)
        stage = None
        if sources[0].startswith("--from="):
            stage = self._stages[sources.pop(0).removeprefix("--from=")]
        destination = Path(self.image.workdir) / self.image.place(target)
        for source in sources:
            origin = stage / source.lstrip("/") if stage else self._context / source
            assert stage or sent(source, self._context), f"COPY {source}: .dockerignore keeps it back"
            into = destination / origin.name if target.endswith("/") else destination
            into.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                left_out = () if stage else ("__pycache__",)
                shutil.copytree(origin, into, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
            else:
                shutil.copy(origin, into)

    def _user(self, rest: str) -> None:
        self.image.user = int(rest)

    def _volume(self, rest: str) -> None:
        assert Path(self.image.place(rest)).is_dir(), f"VOLUME {rest} is not there"

    def _expose(self, rest: str) -> None:
        assert self.image.env["CHATKEEP_PORT"] == rest

    def _healthcheck(self, rest: str) -> None:
        self.image.healthcheck = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self.image.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with what follows them, each on one line."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(instruction, rest) for instruction, _, rest in found]


def sent(source: str, context: Path) -> bool:
    """Whether .dockerignore lets an engine see a file or folder: ours leaves out everything but what it lists."""
    return f"!{source}" in (context / ".dockerignore").read_text().splitlines()


def base_image(folder: Path) -> None:
    """This machine's Python where the base image has its own, and a `useradd` that does nothing."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if all(parent.stat().st_mode & 0o001 for parent in (base, *base.parents)):
        python = f"{base}/bin/{version}"
    else:
        # In a folder of root's: a copy, for another user to run.
        shutil.copy(base / "bin" / version, programs)
        left_out = shutil.ignore_patterns("__pycache__", "test", "site-packages", "config-*")
        shutil.copytree(base / "lib", folder / "lib", symlinks=True, ignore=left_out)
        (folder / "lib" / version / "site-packages").mkdir()
        python = str(programs / version)
    for name, script in {"python": f'exec {python} "$@"', "useradd": "exit 0"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
