"""The calls that ask whether the service is well."""

from chatkeep.models.administration import Health
from chatkeep.models.model import one
from chatkeep.request import Call, get


def alive() -> Call[Health]:
    """Whether the service runs."""
    return get("/healthz", one(Health), for_user=False)


def ready() -> Call[Health]:
    """Whether it can reach its database. Raises Unavailable where it cannot."""
    return get("/readyz", one(Health), for_user=False)
