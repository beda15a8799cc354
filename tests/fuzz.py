"""Bodies that a service must survive: hostile values, good bodies with damage, and others that only look good."""

import json
import random
from collections.abc import Callable

from tests.callers import Json
from tests.document import Operation

HOSTILE = {
    "NUL": r'"a\u0000b"',
    "NUL in a name": r'{"a\u0000b": 1}',
    "raw NUL": '"a\0b"',
    "lone high surrogate": r'"\ud800"',
    "lone low surrogate": r'"x\udfff"',
    "swapped surrogates": r'"\udc00\ud800"',
    "surrogate in a name": r'{"\ud800": 1}',
    "NaN": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "beyond 2^53": str(2**53 + 1),
    "beyond -2^53": str(-(2**53) - 1),
    "beyond int64": str(2**63),
    "beyond all": "9" * 5000,
    "beyond float64": "1e400",
    "beyond -float64": "-1e400",
    "rounded up to infinity": "1.8e308",
    "same name twice": '{"a": 1, "a": 1}',
    "same name twice, written differently": r'{"a": 1, "\u0061": 2}',
    "same name twice, deep": '[[{"b": {"a": 1, "a": 1}}]]',
    "deeper than 64": "[" * 65 + "]" * 65,
    "objects deeper than 64": '{"a":' * 65 + "1" + "}" * 65,
    "very deep": "[" * 90_000,
    "very deep objects": '{"a":' * 20_000,
    "no value": "",
    "a comment": "1 /* one */",
    "single quotes": "'x'",
    "hexadecimal": "0x10",
    "a leading zero": "01",
    "a bare word": "undefined",
    "a raw newline": '"a\nb"',
    "a bad escape": r'"\x41"',
    "a trailing comma": "[1,]",
}

FRAGMENTS = [
    *HOSTILE.values(),
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\u",
    "null",
    "true",
    "1",
    "-",
    "e",
    '"key"',
    "\x00",
]


def mutated(source: random.Random, route: Operation) -> bytes:
    """A good body with a few bytes or fragments flipped, cut, doubled or put in."""
    body = bytearray(json.dumps(without_key(route)).encode())
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(body) + 1)
        match source.randrange(5):
            case 0:
                body[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del body[at : at + source.randint(1, 8)]
            case 2:
                body[at:at] = body[at : at + source.randint(1, 20)]
            case 3:
                body[at:at] = source.choice(FRAGMENTS)[:200].encode()
            case 4 if at < len(body):
                body[at] ^= 1 << source.randrange(8)
    return bytes(body)


def text(source: random.Random) -> str:
    """A text of any characters but NUL and surrogates."""
    return json.dumps("".join(chr(source.randrange(1, 0xD800)) for _ in range(source.randrange(12))))


def moment(source: random.Random) -> str:
    """A moment, not always with a time zone, and never one at which a chat has expired."""
    return json.dumps(f"21{source.randrange(100):02}-01-31T12:00:00{source.choice(['Z', '+05:00', ''])}")


def number(source: random.Random) -> str:
    """A number, mostly a small one."""
    return source.choice(
        [str(source.randrange(1000)), repr(source.uniform(-1e10, 1e10)), str(source.randint(0, 2**54))]
    )


def parts(source: random.Random) -> str:
    """A list of parts, or of tool calls."""
    some = [
        json_object({"type": '"text"', "text": text(source), "x": value(source, 2)}) for _ in range(source.randrange(3))
    ]
    return f"[{','.join(some)}]"


def members(source: random.Random) -> str:
    """An object with anything in it."""
    return json_object({json.loads(text(source)): value(source, 2) for _ in range(source.randrange(4))})


def place(source: random.Random) -> str:
    """A message that might be there, by its seq, or none."""
    return source.choice(["null", '""', '"1"', f'"{source.randrange(20)}"', str(source.randrange(20)), number(source)])


def messages(source: random.Random) -> str:
    """A list of messages, most of them good."""
    return "[" + ",".join(some(source, MESSAGE) for _ in range(source.randint(1, 3))) + "]"


def items(source: random.Random) -> str:
    """A list of items of the Responses API, most of them good."""
    kinds = (
        '"message"',
        '"function_call"',
        '"function_call_output"',
        '"reasoning"',
        '"web_search_call"',
        text(source),
        "null",
    )
    plain = {"call_id": '"1"', "arguments": '"{}"', "output": parts(source), "summary": parts(source)}
    some_items = []
    for _ in range(source.randint(1, 3)):
        good = {"type": source.choice(kinds), "role": '"user"', "content": text(source), "name": '"f"', **plain}
        for name in source.sample([*good, "status", "id"], source.randint(0, 3)):
            if source.random() < 0.5:
                good.pop(name, None)
            else:
                good[name] = source.choice([text, parts, value_of])(source)
        some_items.append(json_object(good))
    return f"[{','.join(some_items)}]"


def value_of(source: random.Random) -> str:
    """Anything."""
    return value(source, 2)


FIELDS: dict[str, Callable[[random.Random], str]] = {
    "role": lambda source: source.choice(['"user"', '"assistant"', '"tool"', '"developer"', '"robot"']),
    "content": lambda source: source.choice([text, parts])(source),
    "tool_calls": parts,
    "metadata": members,
    "tokens": number,
    "input_tokens": number,
    "output_tokens": number,
    "created_at": moment,
    "expires_at": moment,
    "type": text,
    "name": text,
    "model": text,
    "tool_call_id": text,
    "title": text,
    "summary": text,
    "platform": text,
    "key": text,
    "is_pinned": lambda source: source.choice(["true", "false", "1"]),
    "is_archived": lambda source: source.choice(["true", "false", "1"]),
    "tags": lambda source: f"[{text(source)}, {text(source)}]",
    "conversation": messages,
    "messages": messages,
    "scopes": lambda source: source.choice(['["admin"]', '["chats:read","admin"]', "[]", '["root"]']),
    "user_id": text,
    "parent": place,
    "at": place,
    "status": lambda source: source.choice(['"in_progress"', '"completed"', "null"]),
    "offset": lambda source: source.choice(["0", "0", "6", "6", "6", "31"]),
    "text": text,
    "rating": lambda source: source.choice(["1", "-1", "0", "1.0", "true"]),
    "reason": text,
    "holder": text,
    "seconds": number,
    "items": items,
}
MESSAGE = ["role", "content", "content", *list(FIELDS)[2:8], "type", "name", "model", "tool_call_id"]
CHAT = ["title", "summary", "platform", "key", "is_pinned", "is_archived", "tags", "metadata", "expires_at"]
ENDING = ["offset", "content", *list(FIELDS)[2:7], "model"]
# By a part of the path; the first one that is in it.
NAMES = {
    "/v1/conversations/{conversation}/items": ["items"],
    "/v1/conversations": ["items", "metadata"],
    "/chunks": ["offset", "text"],
    "/complete": ENDING,
    "/fail": ENDING,
    "/feedback": ["rating", "reason", "text"],
    "/turn": ["holder", "seconds"],
    "/fork": ["at", "at", *CHAT],
    "/messages": [*MESSAGE, "parent", "parent", "status"],
    "/chats": [*CHAT, "conversation"],
    "/admin": ["name", "scopes", "user_id", "expires_at"],
}


def made(source: random.Random, route: Operation) -> bytes:
    """A body with the names that the route knows, most of their values plausible; now and then anything."""
    if source.random() < 0.1:
        return value(source, 0).encode()
    names = next(names for part, names in NAMES.items() if part in route.path)
    if route.method == "POST" and names is NAMES["/messages"] and source.random() < 0.3:
        batch = {"messages": messages(source)} | ({"parent": place(source)} if source.random() < 0.5 else {})
        return json_object(batch).encode()
    return some(source, names, without_key(route)).encode()


def some(source: random.Random, names: list[str], good: Json | None = None) -> str:
    """An object with a few of these names; one in ten has another name as well."""
    good = {"role": "user", "content": "x"} if good is None else good
    picked = {name: json.dumps(given) for name, given in good.items()}
    for name in source.sample(names, source.randint(0, min(3, len(names)))):
        picked[name] = FIELDS[name](source) if source.random() < 0.9 else value(source, 0)
    if source.random() < 0.1:
        picked[source.choice(list(FIELDS))] = value(source, 0)
    return json_object(picked)


def value(source: random.Random, depth: int) -> str:
    """Any JSON; now and then something hostile that only looks like it."""
    kind = source.random()
    if kind < 0.01:
        return source.choice(list(HOSTILE.values()))[:100]
    if depth > 4 or kind < 0.6:
        return source.choice([text(source), number(source), moment(source), "null", "true", '""'])
    if kind < 0.8:
        return "[" + ",".join(value(source, depth + 1) for _ in range(source.randrange(4))) + "]"
    return json_object({source.choice(list(FIELDS)): value(source, depth + 1) for _ in range(source.randrange(4))})


def without_key(route: Operation) -> Json:
    """The example of the route's body, for the chat that is there."""
    return {name: value for name, value in route.body.items() if name != "key"}


def json_object(members: dict[str, str]) -> str:
    """A JSON object from its members' JSON."""
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in members.items()) + "}"
