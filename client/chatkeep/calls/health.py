"""Calls of the health checks."""

from chatkeep.call import Call, get_call
from chatkeep.models.administration import Health
from chatkeep.models.model import parse_model


def alive() -> Call[Health]:
    """Whether the service runs."""
    return get_call("/healthz", parse_model(Health), for_user=False)


def ready() -> Call[Health]:
    """Whether it can reach its database. Raises Unavailable where it cannot."""
    return get_call("/readyz", parse_model(Health), for_user=False)
