"""Provider formats: a context as the fields of a provider's request. Each is one file here, which registers itself."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from app.context.window import Context

RequestFields = Callable[[Context], dict[str, Any]]
"""Gives a context as fields of a request to a provider, such as `messages`."""

PROVIDER_FORMATS: dict[str, RequestFields] = {}


def provider_format(name: str) -> Callable[[RequestFields], RequestFields]:
    """Registers a function as the encoder of a format."""

    def register(encode: RequestFields) -> RequestFields:
        PROVIDER_FORMATS[name] = encode
        return encode

    return register


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
