"""`client.feedback`."""

from chatkeep.calls import feedback as calls
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent, Paged, Resource, Sent


class Feedback(Resource):
    """What callers think of a message: each method sends the request of its name in `chatkeep.calls.feedback`."""

    list = Paged(calls.page)
    page = Sent(calls.page)
    put = Sent(calls.put)
    delete = Sent(calls.delete)


class AsyncFeedback(AsyncResource):
    """The same to be awaited."""

    list = AsyncPaged(calls.page)
    page = AsyncSent(calls.page)
    put = AsyncSent(calls.put)
    delete = AsyncSent(calls.delete)
