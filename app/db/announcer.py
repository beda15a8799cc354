"""Who is told, in this process, that something of a user's was committed."""

from collections.abc import Callable, Iterable

Listener = Callable[[frozenset[str]], None]


class Announcer:
    """Calls its listeners with the users whose rows changed, after the commit. A listener must return at once."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Calls `listener` after every commit from now on."""
        self._listeners.append(listener)

    def changed(self, user_ids: Iterable[str]) -> None:
        """Says that changes of these users were committed."""
        if self._listeners and (users := frozenset(user_ids)):
            for listener in self._listeners:
                listener(users)
