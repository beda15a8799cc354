"""Trees of messages, loaded through the API and read back: `python -m bench.trees ../shared/data/oasst`.

Each message is appended with its `parent`, in the order of its file, to a service that runs as a process, on both
databases. Then every path from a root to a leaf is read (`?head=<leaf>`) and has to be exactly what was sent, and each
message has to name its siblings in the file; and so has, for each tree, a copy of the path to its last leaf.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from bench.conversations import files
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess

Json = dict[str, Any]
PAGE = 3  # small, so that even short paths take several pages
ROLES = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Tree:
    """Messages by the ids of their file, each with the id of the one it follows."""

    messages: dict[str, Json]
    parents: dict[str, str | None]

    def children(self, parent: str | None) -> list[str]:
        """Those that follow a message, or none, in the order of the file."""
        return [name for name, follows in self.parents.items() if follows == parent]

    def leaves(self) -> list[str]:
        """Those that none follows."""
        followed = set(self.parents.values())
        return [name for name in self.messages if name not in followed]

    def path(self, name: str | None) -> list[str]:
        """The way from the root to a message."""
        found = []
        while name is not None:
            found.append(name)
            name = self.parents[name]
        return found[::-1]


def read(path: Path) -> list[Tree]:
    """The trees of a file of the Open Assistant data set: a message each with its `parent_message_id`."""
    trees: list[Tree] = []
    by_name: dict[str, Tree] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        name, parent = row["user_message_id"], row["parent_message_id"]
        if parent is None:
            trees.append(Tree({}, {}))
        tree = by_name[name] = trees[-1] if parent is None else by_name[parent]
        tree.messages[name] = {"role": ROLES[row["role"]], "content": row["text"], "metadata": {"name": name}}
        tree.parents[name] = parent
    return trees


class Loader:
    """Loads trees into one service, and notes what is not as it should be."""

    def __init__(self, service: ServiceProcess) -> None:
        self._client = httpx2.Client(
            base_url=service.base_url, headers=service.headers("trees"), trust_env=False, timeout=30
        )
        self.differences: list[str] = []
        self.paths = 0

    def load(self, tree: Tree) -> None:
        """Loads a tree and reads all of it back."""
        chat = self._client.post("/chats", json={}).raise_for_status().headers["Location"]
        ids: dict[str | None, str | None] = {None: None}
        for name, message in tree.messages.items():
            body = {**message, "parent": ids[tree.parents[name]]}
            ids[name] = self._client.post(f"{chat}/messages", json=body).raise_for_status().json()["message_id"]

        def siblings(name: str) -> list[str | None] | None:
            family = tree.children(tree.parents[name])
            return [ids[one] for one in family] if len(family) > 1 else None

        for leaf in tree.leaves():
            path = tree.path(leaf)
            expected = [(ids[name], ids[tree.parents[name]], tree.messages[name], siblings(name)) for name in path]
            found = [
                (
                    one["message_id"],
                    one["parent_id"],
                    {field: one[field] for field in ("role", "content", "metadata")},
                    one.get("siblings"),
                )
                for one in self._items(f"{chat}/messages", head=ids[leaf])
            ]
            self._compare(f"the path to {leaf}", found, expected)
            self.paths += 1
        leaves = [one["head_id"] for one in self._items(f"{chat}/branches")]
        self._compare("the leaves", sorted(leaves), sorted(str(ids[leaf]) for leaf in tree.leaves()))
        last = tree.leaves()[-1]
        fork = self._client.post(f"{chat}/fork", json={"at": ids[last]}).raise_for_status().headers["Location"]
        copied = [one["content"] for one in self._items(f"{fork}/messages")]
        self._compare("the fork", copied, [tree.messages[name]["content"] for name in tree.path(last)])

    def _items(self, path: str, **query: Any) -> Iterator[Json]:
        query = {"limit": PAGE, **query}
        while True:
            page = self._client.get(path, params=query).raise_for_status().json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def _compare(self, what: str, found: list[Any], expected: list[Any]) -> None:
        if found != expected:
            self.differences.append(f"{what}: found {found}, expected {expected}")


def main(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files of trees, or folders of them.")],
) -> None:
    """Loads and compares on both databases; ends with 1 where anything differs."""
    console = Console()
    trees = [tree for path in files(paths) for tree in read(path)]
    forks = sum(len(tree.children(name)) > 1 for tree in trees for name in [None, *tree.messages])
    differences = 0
    with Databases() as databases:
        for dialect in DIALECTS:
            with ServiceProcess(database_url=databases.fresh(dialect), log_level="warning") as service:
                loader = Loader(service)
                for tree in trees:
                    loader.load(tree)
            for difference in loader.differences[:10]:
                console.print(difference, style="red", markup=False)
            differences += len(loader.differences)
            console.print(
                f"{dialect}: {len(trees)} trees, {sum(len(tree.messages) for tree in trees)} messages, {forks} branch "
                f"points, {loader.paths} paths read back, {len(loader.differences)} differences",
                highlight=False,
                soft_wrap=True,
            )
    raise typer.Exit(int(differences > 0))


if __name__ == "__main__":
    typer.run(main)
