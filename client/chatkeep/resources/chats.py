"""`client.chats`."""

from chatkeep.calls import chats as calls
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent, Paged, Resource, Sent


class Chats(Resource):
    """Chats: each method sends the request of its name in `chatkeep.calls.chats`."""

    create = Sent(calls.create)
    list = Paged(calls.page)
    page = Sent(calls.page)
    get = Sent(calls.get)
    get_or_create = Sent(calls.get_or_create)
    replace = Sent(calls.replace)
    patch = Sent(calls.patch)
    delete = Sent(calls.delete)
    restore = Sent(calls.restore)
    fork = Sent(calls.fork)


class AsyncChats(AsyncResource):
    """The same to be awaited."""

    create = AsyncSent(calls.create)
    list = AsyncPaged(calls.page)
    page = AsyncSent(calls.page)
    get = AsyncSent(calls.get)
    get_or_create = AsyncSent(calls.get_or_create)
    replace = AsyncSent(calls.replace)
    patch = AsyncSent(calls.patch)
    delete = AsyncSent(calls.delete)
    restore = AsyncSent(calls.restore)
    fork = AsyncSent(calls.fork)
