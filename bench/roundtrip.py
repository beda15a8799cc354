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


class Wrong(Exception):
    """Something did not go in, or did not come back as it was."""


class Client:
    """A user of a service."""

    def __init__(self, service: ServiceProcess) -> None:
        headers = service.headers("ann")
        self._client = httpx2.Client(base_url=service.base_url, headers=headers, trust_env=False, timeout=SECONDS)

    def put_in(self, content: bytes, **query: str) -> Any:
        """What an import is answered; None where the file is of no format that is known."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._client.post("/import", params=query, content=content, headers=headers)
        if answer.status_code == 400:
            return None
        answer.raise_for_status()
        return answer.json()

    def take_out(self, form: str) -> bytes:
        """Everything, in a format."""
        answer = self._client.get("/export", params={"format": form, "state": "all"})
        answer.raise_for_status()
        return answer.content

    def branch_points(self) -> int:
        """How many messages are followed by several, roots apart."""
        followed: dict[tuple[str, int], int] = {}
        chat = ""
        for line in self.take_out("jsonl").splitlines():
            record = json.loads(line)
            chat = record.get("chat_id", chat)
            if record["record"] == "message" and "parent_seq" in record:
                place = (chat, record["parent_seq"])
                followed[place] = followed.get(place, 0) + 1
        return sum(count > 1 for count in followed.values())


def files(paths: list[Path]) -> Iterator[Path]:
    """Each file as it is named, and those of conversations in each folder."""
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (one for one in inside if one.suffix in _ENDINGS)


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
            role, _, said = paragraph.partition(": ")
            if role in ("user", "assistant", "tool", "system") and said:
                chat.append({"role": role, "content": said})
            elif chat:
                chat[-1]["content"] += f"\n{paragraph}"
        yield chat


def main(paths: Annotated[list[Path], typer.Argument(help="Files, and folders of them.")]) -> None:
    """Sends conversations in, out, in and out. Exit code 1 if anything is lost or changed."""
    console = Console(width=160)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="chatkeep-bench-"), Databases() as databases:
        whole: dict[str, bytes] = {}
        for dialect in DIALECTS:
            with ServiceProcess(database_url=databases.fresh(dialect), log_level="warning") as service:
                client = Client(service)
                points = 0
                for path in files(paths):
                    try:
                        said = client.put_in(path.read_bytes()) or client.put_in(content_of(path), format="openai")
                    except NoConversations:
                        console.print(f"{path.name}: no conversations", highlight=False)
                        continue
                    before, points = points, client.branch_points() if said["format"] in _TREES else points
                    failures += said["errors_total"] > 0 or not said["messages"]["imported"]
                    console.print(
                        f"{dialect}: {path.parent.name}/{path.name}: {said['format']}, "
                        f"{said['chats']['imported']} of {said['chats']['found']} chats, "
                        f"{said['messages']['imported']} messages, {points - before} branch points",
                        *(error["reason"] for error in said["errors"][:3]),
                        highlight=False,
                    )
                for form in LOSSLESS:
                    whole[f"{dialect} {form}"] = client.take_out(form)
        for name, exported in whole.items():
            for dialect in DIALECTS:
                with ServiceProcess(database_url=databases.fresh(dialect), log_level="warning") as service:
                    client = Client(service)
                    said = client.put_in(exported, keep_ids="true")
                    equal = client.take_out(name.split()[1]) == exported
                    failures += not equal
                    console.print(
                        f"{name} into {dialect}: {said['messages']['imported']} messages, {len(exported):,} bytes, "
                        f"{'equal' if equal else 'NOT EQUAL'}",
                        highlight=False,
                    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
