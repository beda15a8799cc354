"""`client.revisions`."""

from chatkeep.calls import revisions as calls
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent, Paged, Resource, Sent


class Revisions(Resource):
    """What a message was before its edits: each method sends the request of its name in `chatkeep.calls.revisions`."""

    list = Paged(calls.page)
    page = Sent(calls.page)


class AsyncRevisions(AsyncResource):
    """The same to be awaited."""

    list = AsyncPaged(calls.page)
    page = AsyncSent(calls.page)
