"""`python -m bench.roundtrip PATH...`: conversations go in, come out, go into an empty service, and come out equal.

Each file is imported as it is where its format is one that imports know; else it is read by `bench.conversations` and
written as OpenAI's messages. Then everything is exported, imported into an empty service, and exported again: that must
be byte for byte the same, in each lossless format, on each database and from one to the other.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from bench.conversations import NoConversations, read
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess

LOSSLESS = ("jsonl", "json")
SECONDS = 600
_TREES = {"chatgpt", "librechat", "oasst", "openwebui"}
_ENDINGS = {".json", ".jsonl", ".yml"}


class Client:
    """A client of a service, for one user."""

    def __init__(self, service: ServiceProcess) -> None:
        headers = service.headers("ann")
        self._client = httpx2.Client(base_url=service.base_url, headers=headers, trust_env=False, timeout=SECONDS)

    def import_file(self, content: bytes, **query: str) -> Any:
        """The report of an import; None where the file's format is not known."""
        headers = {"Content-Type": "application/octet-stream"}
        response = self._client.post("/import", params=query, content=content, headers=headers)
        if response.status_code == 400:
            return None
        response.raise_for_status()
        return response.json()

    def export(self, form: str) -> bytes:
        """All chats, in a format."""
        response = self._client.get("/export", params={"format": form, "state": "all"})
        response.raise_for_status()
        return response.content

    def branch_points(self) -> int:
        """How many messages have several children."""
        children: dict[tuple[str, int], int] = {}
        chat = ""
        for line in self.export("jsonl").splitlines():
            record = json.loads(line)
            chat = record.get("chat_id", chat)
            if record["record"] == "message" and "parent_seq" in record:
                parent = (chat, record["parent_seq"])
                children[parent] = children.get(parent, 0) + 1
        return sum(count > 1 for count in children.values())


def files(paths: list[Path]) -> Iterator[Path]:
    """Each file as it is named, and those of conversations in each folder."""
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.suffix in _ENDINGS)


def content_of(path: Path) -> bytes:
    """A file's conversations as OpenAI's messages."""
    if path.suffix == ".yml":
        chats = list(_corpus(path.read_text(encoding="utf-8")))
    elif "messages_display" in path.read_text(encoding="utf-8")[:1000]:
        chats = list(_displayed(path.read_text(encoding="utf-8")))
    else:
        chats = [conversation.messages for conversation in read(path)]
    return "\n".join(json.dumps({"messages": chat}, ensure_ascii=False) for chat in chats).encode()


def _corpus(text: str) -> Iterator[list[dict[str, str]]]:
    """The exchanges of a file of ChatterBot's corpus: lists of texts in YAML, of which no more is used."""
    chat: list[dict[str, str]] = []
    for line in text.split("conversations:", 1)[-1].splitlines():
        if line.startswith("- - "):
            if chat:
                yield chat
            chat = []
        elif not line.startswith("  - "):
            if chat and line.strip():
                chat[-1]["content"] += f" {line.strip()}"
            continue
        chat.append({"role": "assistant" if len(chat) % 2 else "user", "content": line[4:].strip()})
    if chat:
        yield chat


def _displayed(text: str) -> Iterator[list[dict[str, str]]]:
    """Dialogues as paragraphs, `role: text`, one dialogue to a line of JSON."""
    for line in text.splitlines():
        chat: list[dict[str, str]] = []
        for paragraph in json.loads(line)["messages_display"].split("\n"):
            role, _, text = paragraph.partition(": ")
            if role in ("user", "assistant", "tool", "system") and text:
                chat.append({"role": role, "content": text})
            elif chat:
                chat[-1]["content"] += f"\n{paragraph}"
        yield chat


def main(paths: Annotated[list[Path], typer.Argument(help="Files, and folders of them.")]) -> None:
    """Sends conversations in, out, in and out. Exit code 1 if anything is lost or changed."""
    console = Console(width=160)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="chatkeep-bench-"), Databases() as databases:
        exports: dict[str, bytes] = {}
        for dialect in DIALECTS:
            with ServiceProcess(database_url=databases.fresh(dialect), log_level="warning") as service:
                client = Client(service)
                points = 0
                for path in files(paths):
                    try:
                        report = client.import_file(path.read_bytes())
                        report = report or client.import_file(content_of(path), format="openai")
                    except NoConversations:
                        console.print(f"{path.name}: no conversations", highlight=False)
                        continue
                    before, points = points, client.branch_points() if report["format"] in _TREES else points
                    failures += report["errors_total"] > 0 or not report["messages"]["imported"]
                    console.print(
                        f"{dialect}: {path.parent.name}/{path.name}: {report['format']}, "
                        f"{report['chats']['imported']} of {report['chats']['found']} chats, "
                        f"{report['messages']['imported']} messages, {points - before} branch points",
                        *(error["reason"] for error in report["errors"][:3]),
                        highlight=False,
                    )
                for form in LOSSLESS:
                    exports[f"{dialect} {form}"] = client.export(form)
        for name, exported in exports.items():
            for dialect in DIALECTS:
                with ServiceProcess(database_url=databases.fresh(dialect), log_level="warning") as service:
                    client = Client(service)
                    report = client.import_file(exported, keep_ids="true")
                    equal = client.export(name.split()[1]) == exported
                    failures += not equal
                    console.print(
                        f"{name} into {dialect}: {report['messages']['imported']} messages, {len(exported):,} bytes, "
                        f"{'equal' if equal else 'NOT EQUAL'}",
                        highlight=False,
                    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
