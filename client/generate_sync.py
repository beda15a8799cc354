"""Generates the sync half of the client, `chatkeep/_sync`, from the async half, `chatkeep/_async`.

    python client/generate_sync.py            writes the generated modules
    python client/generate_sync.py --check    writes nothing, and fails where one is not what would be written

It replaces names and phrases in code, docstrings and comments alike; ruff then removes unused imports and formats.
No library does this here: unasync leaves docstrings and annotations in quotes as they are, and unasyncd, which reads
them, needs an old version of rich.
"""

import re
import subprocess
import sys
from pathlib import Path

ASYNC = Path(__file__).parent / "chatkeep" / "_async"
SYNC = ASYNC.with_name("_sync")
# Unused imports, the order of imports, and `yield from`, which async generators do not have.
FIXES = "F401,I001,UP028"
HEADER = "# Generated from chatkeep/_async/{name} by client/generate_sync.py: edit that file, then run `make format`.\n"

# In this order: each is a regular expression and what replaces it.
REPLACEMENTS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # The sync client has threads where the async one has event loops.
        (r"Event loops may share it, in one thread or in several", "Threads may share it"),
        (r"\basyncio\.to_thread\(([\w.]+)(?:, )?", r"\1("),
        (r"\bCoroutine\[Any, Any, (\w+)\]", r"\1"),
        (r"\b([Aa])n (`?)async ", r"\1 \2"),
        (r"\b(?:async|await) ", ""),
        (r"\basyncio\b", "time"),
        (r"\basync_blocks\b", "blocks"),
        (r"\bchatkeep([./])_async\b", r"chatkeep\1_sync"),
        (r"\ba(iter|iter_bytes|next|close|read)\b", r"\1"),
        (r"\b__a(iter|next|enter|exit)__\b", r"__\1__"),
        (r"\bStopAsyncIteration\b", "StopIteration"),
        (r"\bAsync(?=[A-Z])", ""),
    )
]


def generate(module: Path) -> str:
    """The sync module of an async one, as its whole text."""
    text = module.read_text(encoding="utf-8")
    for pattern, replacement in REPLACEMENTS:
        text = pattern.sub(replacement, text)
    text = HEADER.format(name=module.name) + text
    text = _ruff(text, module.name, "check", "--fix-only", "--unsafe-fixes", f"--select={FIXES}")
    return _ruff(text, module.name, "format")


def _ruff(text: str, name: str, *arguments: str) -> str:
    # Ruff looks up its settings by the name of the file, and reads the text from its input.
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet", f"--stdin-filename={SYNC / name}", "-"]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True)  # noqa: S603 – ours
    return done.stdout


def main(arguments: list[str]) -> str | None:
    """Writes or checks the generated modules. Returns what is wrong, if something is."""
    generated = {SYNC / module.name: generate(module) for module in sorted(ASYNC.glob("*.py"))}
    obsolete = set(SYNC.glob("*.py")) - generated.keys()
    changed = {
        path for path, text in generated.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    if arguments == ["--check"]:
        names = ", ".join(sorted(path.name for path in changed | obsolete))
        return f"Not as generated: {names} in chatkeep/_sync. Run `make format`." if names else None
    if arguments:
        return f"usage: {Path(__file__).name} [--check]"
    SYNC.mkdir(exist_ok=True)
    for path in changed:
        path.write_text(generated[path], encoding="utf-8")
    for path in obsolete:
        path.unlink()
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
