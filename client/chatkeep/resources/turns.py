"""`client.turns`."""

from chatkeep.calls import turns as calls
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent


class Turns(Resource):
    """Turns of a chat: each method sends the request of its name in `chatkeep.calls.turns`."""

    take = Sent(calls.take)
    get = Sent(calls.get)
    renew = Sent(calls.renew)
    release = Sent(calls.release)


class AsyncTurns(AsyncResource):
    """The same to be awaited."""

    take = AsyncSent(calls.take)
    get = AsyncSent(calls.get)
    renew = AsyncSent(calls.renew)
    release = AsyncSent(calls.release)
