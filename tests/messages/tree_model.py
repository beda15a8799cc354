"""A chat as plain Python says that it should be: a tree of messages, walked by their parents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from unittest.mock import ANY

from tests.callers import Json

Items = list[Json]


@dataclass
class Node:
    """A message: `body` is what it is answered as, but for its parent and its siblings."""

    seq: int
    parent: int | None
    body: Json

    @property
    def message_id(self) -> str:
        """Its id."""
        message_id: str = self.body["message_id"]
        return message_id


@dataclass
class ChatModel:
    """The messages of a chat by seq, which is the head, and the highest seq there ever was."""

    chat_id: str
    nodes: dict[int, Node] = field(default_factory=dict)
    head: int | None = None
    last_seq: int = 0
    key: str | None = None

    def append(self, parent: int | None, stored_response: Sequence[Json]) -> None:
        """Messages as they were answered, which follow the message `parent` and each other."""
        for answer in stored_response:
            self.last_seq += 1
            body = {name: value for name, value in answer.items() if name not in ("parent_id", "siblings")}
            assert (body["seq"], body["chat_id"]) == (self.last_seq, self.chat_id)
            self.nodes[self.last_seq] = Node(self.last_seq, parent, body)
            parent = self.head = self.last_seq
        assert list(stored_response) == [
            self.item(seq) for seq in range(self.last_seq - len(stored_response) + 1, self.last_seq + 1)
        ]

    def replace(self, seq: int, answer: Json) -> None:
        """A message as it was answered when it was put in the place of another."""
        gone = self.nodes[seq].body
        body = {name: value for name, value in answer.items() if name not in ("parent_id", "siblings")}
        kept = ("message_id", "seq", "chat_id", "created_at", "key")
        assert {name: body.get(name) for name in kept} == {name: gone.get(name) for name in kept}
        self.nodes[seq].body = body
        assert answer == self.item(seq)

    def by_key(self) -> dict[str, int]:
        """The seqs of the messages that have keys, by these."""
        return {node.body["key"]: seq for seq, node in self.nodes.items() if "key" in node.body}

    def delete(self, seq: int) -> None:
        """Takes a message out; what followed it follows what it followed."""
        gone = self.nodes.pop(seq)
        for node in self.nodes.values():
            if node.parent == seq:
                node.parent = gone.parent
        if self.head == seq:
            self.head = gone.parent

    def clear(self) -> None:
        """Takes every message out."""
        self.nodes, self.head = {}, None

    def children(self, parent: int | None) -> list[int]:
        """The messages that follow a message, or none."""
        return sorted(node.seq for node in self.nodes.values() if node.parent == parent)

    def path(self, seq: int | None) -> list[int]:
        """The branch that ends at a message, from its root on."""
        found = []
        while seq is not None:
            found.append(seq)
            seq = self.nodes[seq].parent
        return found[::-1]

    def item(self, seq: int) -> Json:
        """A message as it is answered."""
        node = self.nodes[seq]
        siblings = self.children(node.parent)
        said = {"parent_id": None if node.parent is None else self.nodes[node.parent].message_id, **node.body}
        if len(siblings) > 1:
            said["siblings"] = [self.nodes[one].message_id for one in siblings]
        return said

    def items(self, seqs: Sequence[int]) -> Items:
        """Messages as they are answered."""
        return [self.item(seq) for seq in seqs]

    def counters(self, seqs: Sequence[int]) -> Json:
        """The counters of some of the messages."""
        bodies = [self.nodes[seq].body for seq in seqs]
        sums = {name: sum(body.get(name, 0) for body in bodies) for name in ("input_tokens", "output_tokens")}
        total = sum(body.get("tokens", body.get("input_tokens", 0) + body.get("output_tokens", 0)) for body in bodies)
        return {"message_count": len(bodies), **sums, "total_tokens": total}

    def chat(self) -> Json:
        """What the chat's details say of its messages."""
        head = None if self.head is None else self.nodes[self.head].message_id
        return {**self.counters(list(self.nodes)), "last_seq": self.last_seq, "head_id": head}

    def branches(self) -> Items:
        """The leaves, newest first."""
        heads = set() if self.head is None else {self.head}
        leaves = {seq for seq in self.nodes if not self.children(seq)} | heads
        paths = {leaf: self.path(leaf) for leaf in leaves}
        found = []
        for leaf in sorted(leaves, reverse=True):
            shared = [seq for seq in paths[leaf][:-1] if len(self.children(seq)) > 1]
            found.append(
                {
                    "head_id": self.nodes[leaf].message_id,
                    "head_seq": leaf,
                    "is_active": leaf == self.head,
                    **self.counters(paths[leaf]),
                    "forked_at": self.nodes[shared[-1]].message_id if shared else None,
                    "created_at": self.nodes[leaf].body["created_at"],
                }
            )
        return found

    def diff(self, a: int | None, b: int | None, limit: int) -> Json:
        """What two branches share, and where they part."""
        one, other = self.path(a), self.path(b)
        shared = [mine for mine, theirs in zip(one, other, strict=False) if mine == theirs]

        def named(path: list[int]) -> Json:
            return {
                "head_id": self.nodes[path[-1]].message_id if path else None,
                "head_seq": path[-1] if path else None,
            }

        def side(path: list[int]) -> Json:
            rest = path[len(shared) :]
            return {**named(path), "message_count": len(rest), "items": self.items(rest[:limit])}

        return {"shared": {**named(shared), "message_count": len(shared)}, "a": side(one), "b": side(other)}

    def fork(self, at: int | None, chat_id: str, copies: Items) -> "ChatModel":
        """The chat that a branch is copied into, whose messages are found to be `copies`."""
        path = self.path(at)
        expected = []
        for seq, copied in enumerate(path, 1):
            changed = {"message_id": ANY, "chat_id": chat_id, "seq": seq, "parent_id": ANY}
            expected.append({**self.nodes[copied].body, **changed})
        assert copies == expected
        ids = [copy["message_id"] for copy in copies]
        assert len({*ids, *(node.message_id for node in self.nodes.values())}) == len(ids) + len(self.nodes)
        made = ChatModel(chat_id)
        made.append(None, copies)
        return made

    def page(self, head: int | None, query: Json) -> list[int]:
        """What `GET …/messages` gives in all of its pages, for a branch's head, or with `tree` for all."""
        seqs = sorted(self.nodes) if query.get("tree") else self.path(head)
        if "role" in query:
            seqs = [seq for seq in seqs if self.nodes[seq].body["role"] == query["role"]]
        if "last" in query:
            return seqs[-query["last"] :]
        if "around_seq" in query:
            limit, middle = query["limit"], query["around_seq"]
            before = [seq for seq in seqs if seq < middle]
            after = [seq for seq in seqs if seq >= middle]
            return before[max(0, len(before) - limit // 2) :] + after[: limit - limit // 2]
        if "max_turns" in query:
            turns = [place for place, seq in enumerate(seqs) if self.nodes[seq].body["role"] == "user"]
            seqs = seqs[turns[-query["max_turns"]] :] if len(turns) >= query["max_turns"] else seqs
        after, before = query.get("after_seq", 0), query.get("before_seq", 2**31)
        seqs = [seq for seq in seqs if after < seq < before]
        return seqs[::-1] if query.get("order") == "desc" else seqs
