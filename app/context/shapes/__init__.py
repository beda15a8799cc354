"""The shapes in which a context is given. Each is one file here, which registers itself with `shape`."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from app.context.window import Context

Write = Callable[[Context], dict[str, Any]]
"""Gives a context as the fields of a request to a provider, such as `messages`."""

ERROR_FORMATS: dict[str, Write] = {}


def shape(name: str) -> Callable[[Write], Write]:
    """Registers what writes the shape that `format` names so."""

    def register(write: Write) -> Write:
        ERROR_FORMATS[name] = write
        return write

    return register


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
