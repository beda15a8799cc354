"""The address of the service and the credentials for it."""

import os
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from chatkeep.call import Call


@dataclass(frozen=True, slots=True)
class Account:
    """The address of a service, a key or token for it, and the user that a service key acts for."""

    url: str
    key: str = field(repr=False)
    user_id: str | None = None

    @staticmethod
    def resolve(url: str | None, key: str | None, user_id: str | None) -> "Account":
        """An account of these values; those missing come from CHATKEEP_URL, CHATKEEP_KEY and CHATKEEP_USER.

        Raises ValueError where there is no address or no key.
        """
        url = url or os.environ.get("CHATKEEP_URL")
        key = key or os.environ.get("CHATKEEP_KEY")
        if not url or not key:
            missing = "an address: give url" if not url else "a key: give key"
            raise ValueError(f"Chatkeep needs {missing}=… or set CHATKEEP_{'KEY' if url else 'URL'}.")
        return Account(url.rstrip("/"), key, user_id or os.environ.get("CHATKEEP_USER") or None)

    def with_user(self, user_id: str | None) -> "Account":
        """A copy that acts for another user, or for nobody."""
        return replace(self, user_id=user_id)

    def url_of(self, call: Call[Any]) -> str:
        """The URL of a call."""
        return self.url + call.path + (f"?{urlencode(call.query, doseq=True)}" if call.query else "")

    def headers_of(self, call: Call[Any]) -> dict[str, str]:
        """The headers of a call. A user's id may have any characters, so it is percent-encoded UTF-8."""
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "application/json",
            "User-Agent": "chatkeep-python",
            **call.headers,
        }
        if call.for_user and self.user_id is not None:
            headers["X-User-Id"] = quote(self.user_id, safe="")
        return headers
