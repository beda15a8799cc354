"""What tests of dialects ask for."""

from collections.abc import Iterator

import pytest

from tests.conftest import Service
from tests.dialects.log import Log


@pytest.fixture
def log(service: Service, user: str) -> Iterator[Log]:
    """The chats of a user, on each database."""
    log = Log(service, user)
    yield log
    log.close()
