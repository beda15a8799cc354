"""OpenAI's clients of a service, which check strictly what they are answered.

There is no TLS here: to load the certificates would take each of them 15 ms.
"""

from typing import Any
from uuid import uuid4

import openai

from tests.servers.service import ADMIN_KEY


def client(base_url: str, user_id: str | None = None, **options: Any) -> openai.OpenAI:
    """A client that acts for a user, by default one that nobody has seen yet."""
    return openai.OpenAI(
        **_options(base_url, user_id), http_client=openai.DefaultHttpxClient(trust_env=False, verify=False), **options
    )


def async_client(base_url: str, user_id: str | None = None, **options: Any) -> openai.AsyncOpenAI:
    """The same, asynchronous."""
    http_client = openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)
    return openai.AsyncOpenAI(**_options(base_url, user_id), http_client=http_client, **options)


def _options(base_url: str, user_id: str | None) -> dict[str, Any]:
    return {
        "base_url": f"{base_url}/v1",
        "api_key": ADMIN_KEY,
        "default_headers": {"X-User-Id": user_id or f"user-{uuid4()}"},
        "_strict_response_validation": True,
    }


def plain(item: Any) -> dict[str, Any]:
    """An item as the Agents SDK sends it back: what it was answered, and nothing else."""
    dumped: dict[str, Any] = item.model_dump(exclude_unset=True, by_alias=True, mode="json")
    return dumped
