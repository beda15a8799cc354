"""The OpenAPI document: FastAPI's own, with what it cannot know."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

import app
from app.http.errors import ProblemDetails, Unprocessable, responses

DESCRIPTION = """\
Keeps the conversations of AI agents: chats, and the messages in them.

Say who you are with `Authorization: Bearer <token>`: an API key, or a token of your identity provider. A service key,
such as the one that the first start prints, names the user it acts for in `X-User-Id`.

```sh
call() {
    curl --fail-with-body -H "Authorization: Bearer $CHATKEEP_KEY" -H "X-User-Id: ann" \\
        -H "Content-Type: application/json" "$@"
}

call "$CHATKEEP_URL/chats/key:first/messages" -d '{"role": "user", "content": "Hi!"}'    # creates the chat
call "$CHATKEEP_URL/chats/key:first/messages" -d '{"role": "assistant", "content": "Hello."}'
call "$CHATKEEP_URL/chats/key:first/messages?last=50"
```

Errors are `application/problem+json` (RFC 9457). Lists answer `items` and `next_cursor`, which is the `cursor` of the
next page. A POST with an `Idempotency-Key` may be sent again: it has one effect, and gets the first answer.
"""
METHODS = ("get", "post", "put", "patch", "delete")
TAGS = {
    "chats": "A chat, by its id or by a key of your own: `key:<key>`.",
    "branches": "A chat is a tree of messages: its branches, what two of them share, a copy of one.",
    "messages": "What was said in a chat, in the order it was written: `seq` 1, 2, 3 …",
    "answers": "An answer that is written while somebody reads: its text in chunks, its end, and the stream of both.",
    "context": "What a model is given of a chat, what its provider would refuse of that, and the repair.",
    "openai": "The OpenAI Conversations API, for its clients: chats are conversations, messages are items.",
    "changes": "What changed, in the order in which it was committed: read it, or follow it as it happens.",
    "search": "Full text over messages, titles and summaries.",
    "export and import": "Chats as files, in many formats: out, and in.",
    "statistics": "How much there is, when it came, who writes most, and what the database takes.",
    "admin": "For administrators: scope `admin`.",
    "service": "Whether the service works.",
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An ETag from before: 304 without a body while it is the same.",
    "schema": {"type": "string"},
}


def document(chatkeep: FastAPI) -> dict[str, Any]:
    """The document of a service: FastAPI's, made once, then completed once."""
    made = FastAPI.openapi(chatkeep)
    if "license" not in made["info"]:
        _complete(made)
    return made


def _complete(made: dict[str, Any]) -> None:
    made["info"] = {
        "title": "Chatkeep",
        "version": app.__version__,
        "description": DESCRIPTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"), ProblemDetails=problem)
    used: set[str] = set()
    for operation in _operations(made):
        used.update(operation.get("tags", []))
        answers = operation["responses"]
        if "application/json" in answers.get("400", {}).get("content", {}):
            # In the shape of another API, which calls that a 400 too.
            answers.pop("422", None)
        elif "application/json" in answers.get("422", {}).get("content", {}):
            answers["422"] = responses(Unprocessable)[422]
        if "304" in answers:
            operation["parameters"].append(IF_NONE_MATCH)
        for part in (operation.get("requestBody", {}), *answers.values()):
            for content in part.get("content", {}).values():
                if "example" not in content and "examples" not in content and "schema" in content:
                    content["example"] = _example(content["schema"], schemas)
    made["paths"] = {
        path: {method: item[method] for method in METHODS if method in item}
        for path, item in sorted(made["paths"].items(), key=_place)
    }
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["tags"] = [{"name": tag, "description": TAGS[tag]} for tag in TAGS if tag in used]


def _place(path: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    """Where a path stands in the document: by its tag. Routers come in the order in which they are tried."""
    tags = [tag for operation in path[1].values() for tag in operation.get("tags", [])]
    return min((list(TAGS).index(tag) for tag in tags if tag in TAGS), default=len(TAGS)), path[0]


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in made["paths"].values():
        yield from path.values()


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A value that a schema allows, from the examples in it."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    properties: dict[str, Any] = schema.get("properties", {})
    required = schema.get("required", [])
    if examples := schema.get("examples"):
        # Pydantic sorts the members of an example, and FastAPI drops those that are null.
        first = examples[0]
        return {n: first.get(n) for n in properties if n in first or n in required} if properties else first
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _example(schema[choice][0], schemas)
    if schema.get("type") == "object":
        nullable = {name for name, of in properties.items() if {"type": "null"} in of.get("anyOf", ())}
        return {n: None if n in nullable else _example(properties[n], schemas) for n in properties if n in required}
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)] if "items" in schema else []
    return {"string": "text", "integer": 1, "number": 1, "boolean": True}.get(schema.get("type", ""))
