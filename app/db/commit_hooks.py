"""After-commit hooks: callbacks of this process that are told whose rows a commit changed."""

from collections.abc import Callable, Iterable

CommitHook = Callable[[frozenset[str]], None]
"""Called with the ids of the users whose rows changed. It must return at once and not raise."""


class CommitHooks:
    """The hooks of one open database."""

    def __init__(self) -> None:
        self._hooks: list[CommitHook] = []

    def add(self, hook: CommitHook) -> None:
        """Has `hook` called after every commit from now on."""
        self._hooks.append(hook)

    def run(self, user_ids: Iterable[str]) -> None:
        """Calls every hook, after changes of these users were committed; none where there are no users."""
        if self._hooks and (users := frozenset(user_ids)):
            for hook in self._hooks:
                hook(users)
