"""Plays files of conversations into a running service as an agent backend would, and checks that all of it comes back.

`python -m bench.replay PATH...`: many chats at once, message by message; before each answer of an assistant the last
messages are read, as a backend does to call its model. Every write carries an Idempotency-Key, and a fraction of them
is sent twice, some after the first was answered and some at the same time. Then every chat is read back page by page.
"""

import asyncio
import random
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.conversations import Conversation, Json, NoConversations, files, read

ATTEMPTS = 8
TRY_AGAIN = frozenset({409, 429, 503})  # 409: the first request with this Idempotency-Key is still running
RECENT = 20
PAGE = 7  # small, so that even short chats take several pages
SHOWN_DIFFERENCES = 20


class Refused(Exception):
    """The service answered what cannot be right, or nothing at all."""


@dataclass(frozen=True)
class Chat:
    """A conversation and the key under which the service keeps it."""

    key: str
    conversation: Conversation

    @property
    def path(self) -> str:
        """Where the chat is."""
        return f"/chats/key:{self.key}"


@dataclass
class Tally:
    """What was done and what was wrong."""

    requests: int = 0
    sent_twice: int = 0
    tried_again: int = 0
    written: int = 0
    equal: int = 0
    differences: list[str] = field(default_factory=list)


class Backend:
    """An agent backend: writes chats and reads them back, and counts what it does."""

    def __init__(self, client: httpx2.AsyncClient, retry_fraction: float, seed: int = 0) -> None:
        self._client = client
        self._retry_fraction = retry_fraction
        self._random = random.Random(seed)
        self.tally = Tally()

    async def play(self, chat: Chat, advance: Callable[[], None]) -> None:
        """Writes one chat, message by message. Raises Refused."""
        await self._write("/chats", {"key": chat.key, "title": chat.conversation.name})
        messages = chat.conversation.messages
        for seq, message in enumerate(messages, start=1):
            if message["role"] == "assistant":
                recent = (await self._ask("GET", f"{chat.path}/messages", params={"last": RECENT})).json()["items"]
                self._compare(chat, max(1, seq - RECENT), messages[max(0, seq - 1 - RECENT) : seq - 1], recent)
            answer = await self._write(f"{chat.path}/messages", message)
            self._compare(chat, seq, [message], [answer])
            self.tally.written += 1
            advance()

    async def check(self, chat: Chat, advance: Callable[[], None]) -> None:
        """Reads one chat back and compares it with what was sent. Raises Refused."""
        found = [message async for message in self._history(chat)]
        sent = chat.conversation.messages
        differences = self._compare(chat, 1, sent, found)
        count = (await self._ask("GET", chat.path)).json()["message_count"]
        if count != len(sent):
            self.tally.differences.append(f"{chat.key}: message_count is {count}, sent were {len(sent)}")
        self.tally.equal += max(0, len(sent) - differences)
        for _ in sent:
            advance()

    async def _history(self, chat: Chat) -> AsyncIterator[Json]:
        params: Json = {"limit": PAGE}
        while True:
            page = (await self._ask("GET", f"{chat.path}/messages", params=params)).json()
            for message in page["items"]:
                yield message
            if not page["next_cursor"]:
                return
            params["cursor"] = page["next_cursor"]

    def _compare(self, chat: Chat, first: int, sent: list[Json], found: list[Json]) -> int:
        """Notes where what was found, from seq `first` on, is not what was sent; answers how many notes that took."""
        wrong = []
        if len(sent) != len(found):
            wrong.append(f"{chat.key}: {len(found)} messages from seq {first} on, sent were {len(sent)}")
        for seq, (message, answer) in enumerate(zip(sent, found, strict=False), start=first):
            for name, expected in {**message, "seq": seq}.items():
                if answer.get(name) != expected:
                    wrong.append(f"{chat.key}, seq {seq}: {name} is {answer.get(name)!r}, sent was {expected!r}")
        self.tally.differences += wrong
        return len(wrong)

    async def _write(self, path: str, body: Json) -> Json:
        """One POST, sometimes sent twice: with the same Idempotency-Key both have to get the same answer."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}

        def send() -> Coroutine[Any, Any, httpx2.Response]:
            return self._ask("POST", path, json=body, headers=headers)

        chance = self._random.random()
        if chance >= self._retry_fraction:
            first = await send()
        else:
            self.tally.sent_twice += 1
            if chance < self._retry_fraction / 2:
                first, again = await asyncio.gather(send(), send())
            else:
                first, again = await send(), await send()
            if (first.status_code, first.content) != (again.status_code, again.content):
                self.tally.differences.append(f"{path}: sent twice, answered {first.text!r} and {again.text!r}")
        if first.status_code != 201:
            raise Refused(f"POST {path}: {first.status_code}, not 201")
        answer: Json = first.json()
        return answer

    async def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """A 2xx; where the service is busy or away, asked again with growing pauses."""
        for attempt in range(ATTEMPTS):
            self.tally.requests += 1
            try:
                answer = await self._client.request(method, path, **request)
            except httpx2.TransportError as error:
                reason, pause = f"{type(error).__name__} {error}", 0.0
            else:
                if answer.is_success:
                    return answer
                reason, pause = f"{answer.status_code} {answer.text[:300]}", float(answer.headers.get("Retry-After", 0))
                if answer.status_code not in TRY_AGAIN:
                    break
            self.tally.tried_again += 1
            await asyncio.sleep(max(pause, 0.05 * 2**attempt) * random.uniform(1, 1.3))
        raise Refused(f"{method} {path}: {reason}")


class Speed(ProgressColumn):
    """Messages a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f}/s")


async def replay(backend: Backend, chats: list[Chat], concurrency: int, progress: Progress) -> dict[str, float]:
    """Writes all chats, then checks all; answers the seconds that each phase took."""
    seconds = {}
    for phase, work in (("write", backend.play), ("read back", backend.check)):
        task = progress.add_task(phase, total=sum(len(chat.conversation.messages) for chat in chats))
        waiting = iter(chats)

        async def worker(work: Any = work, task: Any = task, waiting: Any = waiting) -> None:
            for chat in waiting:
                try:
                    await work(chat, lambda: progress.advance(task))
                except Refused as refused:
                    backend.tally.differences.append(f"{chat.key}: {refused}")

        started = perf_counter()
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(worker())
        seconds[phase] = perf_counter() - started
    return seconds


def load(paths: list[Path], console: Console, limit: int | None = None) -> list[Chat]:
    """The chats in the files at `paths`, under keys that no earlier replay used."""
    run = secrets.token_hex(4)
    chats = []
    for number, path in enumerate(files(paths)):
        try:
            conversations = read(path)
        except NoConversations as error:
            console.print(f"[yellow]skipped[/] {error}", highlight=False)
            continue
        chats += [Chat(f"replay:{run}:{number}:{index}", item) for index, item in enumerate(conversations)]
    return chats[:limit]


def main(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files of conversations, or folders of them.")],
    url: Annotated[
        str, typer.Option(envvar="CHATKEEP_URL", help="Where the service listens.")
    ] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="CHATKEEP_KEY", help="An API key; a service key with --user.")] = "",
    user: Annotated[str, typer.Option(help="Whom to act for (X-User-Id); empty for a key of one user.")] = "replay",
    concurrency: Annotated[int, typer.Option(min=1, help="Chats at once.")] = 32,
    retry_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="The part of the writes that is sent twice.")
    ] = 0.1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many chats.")] = None,
) -> None:
    """Plays conversations into a running service, reads them back, and compares. Exit code 1 if anything differs."""
    console = Console()
    if not key:
        raise typer.BadParameter("an API key is needed: --key or CHATKEEP_KEY")
    chats = load(paths, console, limit)
    if not chats:
        raise typer.BadParameter("no conversation in a shape that is known")
    headers = {"Authorization": f"Bearer {key}"} | ({"X-User-Id": user} if user else {})
    columns = (TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeElapsedColumn())

    async def run() -> tuple[Tally, dict[str, float]]:
        limits = httpx2.Limits(max_connections=concurrency * 2, max_keepalive_connections=concurrency * 2)
        async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=30) as client:
            backend = Backend(client, retry_fraction)
            with Progress(*columns, console=console) as progress:
                return backend.tally, await replay(backend, chats, concurrency, progress)

    tally, seconds = asyncio.run(run())
    for difference in tally.differences[:SHOWN_DIFFERENCES]:
        console.print(difference, style="red", markup=False, highlight=False)
    console.print(
        f"{len(chats)} chats, {tally.written} messages written, {tally.equal} read back equal, "
        f"{len(tally.differences)} differences\n"
        f"{tally.requests} requests, {tally.sent_twice} writes sent twice, {tally.tried_again} tried again\n"
        f"written at {tally.written / seconds['write']:.0f} messages/s, "
        f"read back at {tally.equal / seconds['read back']:.0f} messages/s",
        highlight=False,
    )
    if tally.differences:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
