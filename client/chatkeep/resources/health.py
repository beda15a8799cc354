"""`client.health`."""

from chatkeep.calls import health as calls
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent


class Health(Resource):
    """Whether the service is well: each method sends the request of its name in `chatkeep.calls.health`."""

    alive = Sent(calls.alive)
    ready = Sent(calls.ready)


class AsyncHealth(AsyncResource):
    """The same to be awaited."""

    alive = AsyncSent(calls.alive)
    ready = AsyncSent(calls.ready)
