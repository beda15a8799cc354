"""The client as a package: what its installation brings along, and that every Python example of its pages runs."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.service import ADMIN_KEY, REPOSITORY, ServiceProcess, is_setting

# Making the larger environment takes a minute or two.
pytestmark = pytest.mark.timeout(900)

CLIENT = REPOSITORY / "client"
ABOUT_IT = ("client", "openai-agents", "adapters", "openai", "codecs")
PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "docs" / f"{name}.md" for name in ABOUT_IT)]
NEEDS = {"httpx2", "pydantic"}
ADAPTERS = {"openai_agents": "agents", "langchain": "langchain_core", "pydantic_ai": "pydantic_ai", "adk": "google"}

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## ", re.MULTILINE)

# The distributions that one needs, itself included, as its metadata and theirs say here. With pip's own `packaging`.
CLOSURE = """
import json, sys
from importlib.metadata import distribution, distributions
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

needed, waiting = {}, [("chatkeep", frozenset())]
while waiting:
    name, extras = waiting.pop()
    if name not in needed or not extras <= needed[name]:
        extras |= needed.get(name, frozenset())
        needed[name] = extras
        for text in distribution(name).requires or ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                waiting.append((canonicalize_name(one.name), frozenset(one.extras)))
direct = [Requirement(text) for text in distribution("chatkeep").requires]
print(json.dumps({
    "direct": sorted(one.name for one in direct if one.marker is None or one.marker.evaluate({"extra": ""})),
    "needed": sorted(needed),
    "installed": sorted({canonicalize_name(one.metadata["Name"]) for one in distributions()}),
}))
"""
IMPORT = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
import chatkeep
took = time.perf_counter() - start
assert chatkeep.Chatkeep and chatkeep.AsyncChatkeep
others = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not others & {"agents", "google", "langchain_core", "pydantic_ai"}, others
print(took)
"""


def run(*command: str | Path, **options: object) -> str:
    """What a command prints. Fails with what it says when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=800, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command[:4]} ended with {done.returncode}:\n{done.stderr}\n{done.stdout}"
    printed: str = done.stdout
    return printed


def environment(folder: Path) -> Path:
    """A new environment in a folder; gives its Python."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


def pip_install(python: Path, *what: str | Path) -> None:
    """Installs into an environment, and says how long it took."""
    start = time.monotonic()
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)
    print(f"pip install {' '.join(map(str, what))}: {time.monotonic() - start:.0f} s")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the client, and what it brings along."""
    python = environment(tmp_path_factory.mktemp("bare"))
    pip_install(python, CLIENT)
    return python


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the client and the libraries of its extras, as we test with them."""
    python = environment(tmp_path_factory.mktemp("full"))
    locked = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", CLIENT / "requirements-dev.txt")
    pip_install(python, *locked)
    pip_install(python, "--no-deps", CLIENT)
    return python


@pytest.fixture(scope="module")
def model(full: Path) -> Iterator[str]:
    """The address of a model that says what the user said."""
    command = [str(full), "-m", "tests.scripted_model"]
    with subprocess.Popen(command, cwd=CLIENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        process.wait(30)


def test_it_brings_along_two_libraries_and_what_they_need(bare: Path) -> None:
    told = json.loads(run(bare, "-c", CLOSURE))
    assert set(told["direct"]) == NEEDS
    assert set(told["installed"]) - {"pip", "setuptools"} == set(told["needed"])


def test_it_is_imported_fast_and_alone(bare: Path) -> None:
    took = sorted(float(run(bare, "-c", IMPORT)) for _ in range(7))
    print(f"import chatkeep: {took[0]:.3f} s at best, {took[3]:.3f} s in the middle of seven")
    assert took[0] < 1


@pytest.mark.parametrize(("adapter", "library"), ADAPTERS.items())
def test_an_adapter_needs_its_library(bare: Path, full: Path, adapter: str, library: str) -> None:
    done = subprocess.run([bare, "-c", f"import chatkeep.{adapter}"], capture_output=True, text=True, check=False)
    assert f"No module named '{library}" in done.stderr
    run(full, "-c", f"import chatkeep.{adapter}")


def sections(page: Path) -> dict[str, list[tuple[int, str]]]:
    """The Python blocks of each section of a page, with the lines they begin in. Those of a section are one program."""
    text = page.read_text()
    begins = [0, *(found.start() for found in SECTION.finditer(text))]
    found: dict[str, list[tuple[int, str]]] = {}
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        blocks = [(text.count("\n", 0, block.start()) + 2, block[1]) for block in BLOCK.finditer(text, begin, end)]
        if blocks:
            found[text[begin:end].partition("\n")[0].lstrip("# ")] = blocks
    return found


EXAMPLES = [(page, title) for page in PAGES if page.exists() for title in sections(page)]


def test_there_are_examples_of_the_client_and_of_each_adapter() -> None:
    assert {"client", "openai-agents", "adapters"} <= {page.stem for page, _ in EXAMPLES}
    shown = "".join(code for page, title in EXAMPLES for _, code in sections(page)[title])
    assert [name for name in ADAPTERS if f"from chatkeep.{name} import" not in shown] == []


@pytest.mark.parametrize(("page", "title"), EXAMPLES, ids=[f"{page.stem}: {title}" for page, title in EXAMPLES])
def test_what_is_printed_runs(page: Path, title: str, bare: Path, full: Path, model: str) -> None:
    # Each block keeps its lines, so that what goes wrong is found on the page.
    program = ""
    for line, code in sections(page)[title]:
        program += "\n" * (line - 1 - program.count("\n")) + code
    kept = {
        name: value for name, value in os.environ.items() if not is_setting(name) and not name.startswith("OPENAI_")
    }
    with ServiceProcess() as service:
        example = service.folder / f"{page.stem}.py"
        example.write_text(program)
        printed = run(
            # The client's own page needs nothing but the client.
            bare if page.stem == "client" else full,
            example,
            cwd=service.folder,
            env=kept
            | {
                "CHATKEEP_URL": service.base_url,
                "CHATKEEP_KEY": ADMIN_KEY,
                "CHATKEEP_USER": "ann",
                "OPENAI_BASE_URL": model,
                "OPENAI_API_KEY": "none",
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
                "NO_PROXY": "127.0.0.1",
            },
        )
    print(printed)
