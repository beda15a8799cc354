"""`client.stats`."""

from chatkeep.calls import stats as calls
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent


class Statistics(Resource):
    """Statistics: each method sends the request of its name in `chatkeep.calls.stats`."""

    totals = Sent(calls.totals)
    daily = Sent(calls.daily)
    top = Sent(calls.top)
    storage = Sent(calls.storage)


class AsyncStatistics(AsyncResource):
    """The same to be awaited."""

    totals = AsyncSent(calls.totals)
    daily = AsyncSent(calls.daily)
    top = AsyncSent(calls.top)
    storage = AsyncSent(calls.storage)
