"""`client.branches`."""

from chatkeep.calls import branches as calls
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent, Paged, Resource, Sent


class Branches(Resource):
    """Branches of a chat: each method sends the request of its name in `chatkeep.calls.branches`."""

    list = Paged(calls.page)
    page = Sent(calls.page)
    diff = Sent(calls.diff)


class AsyncBranches(AsyncResource):
    """The same to be awaited."""

    list = AsyncPaged(calls.page)
    page = AsyncSent(calls.page)
    diff = AsyncSent(calls.diff)
