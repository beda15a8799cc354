"""`python -m bench.upgrade <checkout> PATH...`: a database of another version comes over by export and import.

The other version, a checkout whose environment is in `.venv`, imports the files again and again, for a user each time.
What files do not have is done to the chats by API: branches, edits, feedback, the trash, messages in progress. Then all
users' chats are exported, imported into this version on each kind of database, and exported again: that must be the
same, byte for byte.
"""

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from bench.roundtrip import SECONDS, content_of, files
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess

MESSAGES = 100_000
_CHANGES_PER_USER = 60

Request = tuple[str, str, Any]
"""A method, a path and a body."""


def client_of(service: ServiceProcess, user: str | None = None) -> httpx2.Client:
    """A client of a service, for a user or an administrator."""
    headers = service.headers(user)
    return httpx2.Client(base_url=service.base_url, headers=headers, trust_env=False, timeout=SECONDS)


def fill(service: ServiceProcess, paths: list[Path], messages: int) -> int:
    """Imports the files for one user after the other until there are so many messages; gives how many there are."""
    contents = [(path.read_bytes(), path) for path in files(paths)]
    stored = 0
    for number in range(1, 1000):
        with client_of(service, f"user {number}") as user:
            for content, path in contents:
                report = _import(user, content) or _import(user, content_of(path), format="openai")
                assert report is not None, path
                stored += report["messages"]["imported"]
                if stored >= messages:
                    break
            _change(user, random.Random(number))
        if stored >= messages:
            break
    return stored


def _import(user: httpx2.Client, content: bytes, **query: str) -> Any:
    headers = {"Content-Type": "application/octet-stream"}
    response = user.post("/import", params=query, content=content, headers=headers)
    return None if response.status_code == 400 else response.raise_for_status().json()


def _change(user: httpx2.Client, draw: random.Random) -> None:
    """Does to some chats what their files do not say."""
    chats = user.get("/chats?limit=200").raise_for_status().json()["items"]
    for chat in draw.sample(chats, min(_CHANGES_PER_USER, len(chats))):
        path = f"/chats/{chat['chat_id']}"
        if messages := user.get(f"{path}/messages?limit=20").raise_for_status().json()["items"]:
            new = f"{path}/messages/{chat['last_seq'] + 1}"
            for method, where, body in draw.choice(_changes(path, draw.choice(messages)["seq"], new)):
                user.request(method, where, json=body).raise_for_status()


def _changes(chat: str, seq: int, new: str) -> list[list[Request]]:
    """What can be done to a chat, its message `seq` and a message that is new in it, each as requests."""
    message = f"{chat}/messages/{seq}"
    answer: list[Request] = [
        ("POST", f"{chat}/messages", {"role": "assistant", "content": "And ", "status": "in_progress"}),
        ("POST", f"{new}/chunks", {"offset": 4, "text": "then"}),
    ]
    return [
        [("POST", f"{chat}/messages", {"role": "user", "content": "Otherwise?", "parent": seq})],
        [
            ("PATCH", message, {"content": "Said better."}),
            ("PATCH", message, {"content": "Said best.", "metadata": {"edited": True}}),
        ],
        [("PUT", f"{message}/feedback", {"rating": -1, "text": "Hm."})],
        answer,
        [*answer, ("POST", f"{new}/complete", {"offset": 8})],
        [*answer, ("POST", f"{new}/fail", {"offset": 8})],
        [("DELETE", message, None)],
        [("PATCH", chat, {"title": "Ä", "tags": ["x"], "metadata": {"a": 1.0}, "summary": "All of it."})],
        [("DELETE", chat, None)],
    ]


def export(service: ServiceProcess) -> bytes:
    """All chats of all users."""
    with client_of(service) as admin:
        query = {"format": "jsonl", "state": "all", "all_users": "true"}
        return admin.get("/export", params=query).raise_for_status().content


def main(
    other: Annotated[Path, typer.Argument(help="The checkout of the other version.")],
    paths: Annotated[list[Path], typer.Argument(help="Files of conversations, and folders of them.")],
    messages: Annotated[int, typer.Option(min=1, help="How many messages to bring over, at least.")] = MESSAGES,
) -> None:
    """Brings chats over from each kind of database to each. Exit code 1 if anything is lost or changed."""
    console = Console(width=160)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="chatkeep-bench-"), Databases() as databases:
        for before in DIALECTS:
            url = databases.empty(before)
            with ServiceProcess(repository=other.resolve(), database_url=url, log_level="warning") as service:
                stored = fill(service, paths, messages)
                exported = export(service)
            for after in DIALECTS:
                with ServiceProcess(database_url=databases.fresh(after), log_level="warning") as service:
                    begun = time.monotonic()
                    with client_of(service) as admin:
                        report = _import(admin, exported, keep_ids="true", all_users="true")
                    seconds = time.monotonic() - begun
                    equal = export(service) == exported
                failures += not equal or report["errors_total"] > 0
                console.print(
                    f"{before} to {after}: {stored:,} messages, {len(exported):,} bytes, in {seconds:.1f} s, "
                    f"{report['errors_total']} errors, {'equal' if equal else 'NOT EQUAL'}",
                    highlight=False,
                )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
