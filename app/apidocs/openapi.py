"""The OpenAPI document: FastAPI's own, with what it cannot know."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

import app
from app.errors import ProblemDetails, Unprocessable, responses

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
TAGS = {
    "chats": "A chat, by its id or by a key of your own: `key:<key>`.",
    "messages": "What was said in a chat, in the order it was written: `seq` 1, 2, 3 …",
    "admin": "For administrators: scope `admin`.",
    "health": "Whether the service works.",
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
    used: dict[str, None] = {}
    for operation in _operations(made):
        used.update(dict.fromkeys(operation.get("tags", [])))
        answers = operation["responses"]
        if "application/json" in answers.get("422", {}).get("content", {}):
            answers["422"] = responses(Unprocessable)[422]
        if "304" in answers:
            operation["parameters"].append(IF_NONE_MATCH)
        for part in (operation.get("requestBody", {}), *answers.values()):
            for content in part.get("content", {}).values():
                if "example" not in content and "examples" not in content and "schema" in content:
                    content["example"] = _example(content["schema"], schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["tags"] = [{"name": tag, "description": TAGS[tag]} for tag in used if tag in TAGS]


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in made["paths"].values():
        yield from path.values()


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A value that a schema allows, from the examples in it."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    properties: dict[str, Any] = schema.get("properties", {})
    if examples := schema.get("examples"):
        # Pydantic sorts the members of an example; they read better in the order of the schema.
        return {name: examples[0][name] for name in properties if name in examples[0]} if properties else examples[0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _example(schema[choice][0], schemas)
    if schema.get("type") == "object":
        required = schema.get("required", [])
        return {name: _example(of, schemas) for name, of in properties.items() if name in required}
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)] if "items" in schema else []
    return {"string": "text", "integer": 1, "number": 1, "boolean": True}.get(schema.get("type", ""))
