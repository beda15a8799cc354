"""A model served over HTTP that says what it was told to say: the Responses API, streamed or not, and Chat Completions.

`python -m tests.scripted_model` in `client/` serves one until its input ends, and prints its address; a program
talks to it with that as `OPENAI_BASE_URL` and any `OPENAI_API_KEY`.
"""

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from itertools import count
from types import TracebackType
from typing import Any, Self

import uvicorn

Json = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_ids = count(1)


def text(said: str) -> Json:
    """An answer's message, as the Responses API gives it."""
    part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
    return {"id": _id("msg"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def call(name: str, **arguments: Any) -> Json:
    """A call of a function tool."""
    return {
        "id": _id("fc"),
        "type": "function_call",
        "call_id": _id("call"),
        "name": name,
        "arguments": json.dumps(arguments),
        "status": "completed",
    }


def by_rule(request: Json) -> list[Json]:
    """Calls the first tool with what the user said last, and then says what the user and the tool said."""
    items = items_of(request)
    last = max((index for index, item in enumerate(items) if item.get("role") == "user"), default=-1)
    said = _plain(items[last].get("content")) if last >= 0 else ""
    results = [item["output"] for item in items[last + 1 :] if item.get("type") == "function_call_output"]
    tools = [tool for tool in request.get("tools") or [] if tool.get("type") == "function"]
    if tools and not results:
        names = (tools[0].get("parameters") or {}).get("properties", {})
        return [call(tools[0]["name"], **dict.fromkeys(names, said))]
    return [text(f"You said: {said}" + "".join(f" The tool said: {_plain(result)}" for result in results))]


def items_of(request: Json) -> list[Json]:
    """The input of a request, as a list."""
    input_items = request["input"]
    return [{"role": "user", "content": input_items}] if isinstance(input_items, str) else list(input_items)


class ScriptedModel:
    """The server, in a thread of its own; used as a context manager.

    Attributes:
        url: what `OPENAI_BASE_URL` is to be.
        requests: the bodies of the requests of the Responses API, in the order they came.
    """

    def __init__(self, rule: Callable[[Json], list[Json]] = by_rule) -> None:
        self.requests: list[Json] = []
        self._rule = rule
        self._script: deque[list[Json]] = deque()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_level="error",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        # The socket listens already: who connects before the server runs waits for it.
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._socket.close()

    def enqueue(self, *answers: list[Json]) -> None:
        """Sets what the next requests are answered, each with the items of one response; then the rule goes on."""
        self._script.extend(answers)

    async def _app(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        route = (scope["method"], scope["path"])
        if route == ("POST", "/v1/responses"):
            request: Json = json.loads(body)
            self.requests.append(request)
            response = _response(request, self._script.popleft() if self._script else self._rule(request))
            await (_stream(send, _events(response)) if request.get("stream") else _answer(send, 200, response))
        elif route == ("POST", "/v1/responses/compact"):
            await _answer(send, 200, _compacted(json.loads(body)))
        elif route == ("POST", "/v1/chat/completions"):
            await _answer(send, 200, _completion(json.loads(body), self._rule))
        else:
            error = {"message": f"no such route: {route}", "type": "invalid_request_error", "param": None, "code": None}
            await _answer(send, 404, {"error": error})


def _id(prefix: str) -> str:
    return f"{prefix}_{next(_ids):032x}"


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def _response(request: Json, output: list[Json], status: str = "completed") -> Json:
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "model": request.get("model", "scripted"),
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _usage(len(items_of(request)), len(output)),
    }


def _usage(read: int, written: int) -> Json:
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }


def _events(response: Json) -> Iterator[Json]:
    """A response as the events of its stream."""
    yield {"type": "response.created", "response": response | {"status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(response["output"]):
        at = {"output_index": index, "item_id": item.get("id", "")}
        begun = item | {"status": "in_progress"}
        begun |= {name: empty for name, empty in (("content", []), ("arguments", "")) if name in item}
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        if item["type"] == "message":
            for index, part in enumerate(item["content"]):
                there = at | {"content_index": index}
                yield {"type": "response.content_part.added", **there, "part": part | {"text": ""}}
                yield {"type": "response.output_text.delta", **there, "delta": part["text"], "logprobs": []}
                yield {"type": "response.output_text.done", **there, "text": part["text"], "logprobs": []}
                yield {"type": "response.content_part.done", **there, "part": part}
        elif item["type"] == "function_call":
            yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **at, **done}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": response}


def _compacted(request: Json) -> Json:
    """What compaction makes of an input: the users' messages, and one item that holds the rest."""
    items = items_of(request) if request.get("input") else []
    user_items = [item for item in items if item.get("role") == "user"]
    summary = {"id": _id("cmp"), "type": "compaction", "encrypted_content": f"{len(items) - len(user_items)} items"}
    return {
        "id": _id("resp"),
        "object": "response.compaction",
        "created_at": 1_760_000_000,
        "output": [*({"type": "message", **item} for item in user_items), summary],
        "usage": _usage(len(items), 1),
    }


def _completion(request: Json, rule: Callable[[Json], list[Json]]) -> Json:
    """The same answer as a chat completion."""
    items: list[Json] = []
    for message in request["messages"]:
        if message["role"] == "tool":
            items.append({"type": "function_call_output", "output": _plain(message.get("content"))})
        else:
            items.append({"role": message["role"], "content": _plain(message.get("content"))})
    tools = [{"type": "function", **tool["function"]} for tool in request.get("tools") or []]
    output = rule({"input": items, "tools": tools})
    calls = [
        {"id": item["call_id"], "type": "function", "function": {name: item[name] for name in ("name", "arguments")}}
        for item in output
        if item["type"] == "function_call"
    ]
    said = "".join(_plain(item["content"]) for item in output if item["type"] == "message")
    message = {"role": "assistant", "content": said or None} | ({"tool_calls": calls} if calls else {})
    return {
        "id": _id("chatcmpl"),
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": request.get("model", "scripted"),
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": len(items), "completion_tokens": 1, "total_tokens": len(items) + 1},
    }


async def _answer(send: Send, status: int, body: Json) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _stream(send: Send, events: Iterator[Json]) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number, event in enumerate(events):
        block = f"event: {event['type']}\ndata: {json.dumps(event | {'sequence_number': number})}\n\n"
        await send({"type": "http.response.body", "body": block.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serves until whoever started it closes its input or ends."""
    with ScriptedModel() as model:
        print(json.dumps({"url": model.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
