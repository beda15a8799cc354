"""`client.api_keys`."""

from chatkeep.calls import api_keys as calls
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent, Paged, Resource, Sent


class ApiKeys(Resource):
    """API keys: each method sends the request of its name in `chatkeep.calls.api_keys`."""

    create = Sent(calls.create)
    list = Paged(calls.page)
    page = Sent(calls.page)
    get = Sent(calls.get)
    revoke = Sent(calls.revoke)


class AsyncApiKeys(AsyncResource):
    """The same to be awaited."""

    create = AsyncSent(calls.create)
    list = AsyncPaged(calls.page)
    page = AsyncSent(calls.page)
    get = AsyncSent(calls.get)
    revoke = AsyncSent(calls.revoke)
