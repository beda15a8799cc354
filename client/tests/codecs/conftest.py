"""Fixtures for the tests of codecs."""

from collections.abc import Iterator

import pytest

from tests.codecs.log import Log
from tests.conftest import Service


@pytest.fixture
def log(service: Service, user: str) -> Iterator[Log]:
    """The chats of a user, on each database."""
    log = Log(service, user)
    yield log
    log.close()
