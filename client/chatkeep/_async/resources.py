"""Resources whose methods each send the call of the same name in `chatkeep.calls`."""

from chatkeep._async.methods import AsyncCallMethod, AsyncPagedMethod, AsyncResource
from chatkeep.calls import api_keys, branches, chats, feedback, health, revisions, stats, turns


class AsyncApiKeys(AsyncResource):
    """`client.api_keys`: API keys."""

    create = AsyncCallMethod(api_keys.create)
    list = AsyncPagedMethod(api_keys.page)
    page = AsyncCallMethod(api_keys.page)
    get = AsyncCallMethod(api_keys.get)
    revoke = AsyncCallMethod(api_keys.revoke)


class AsyncBranches(AsyncResource):
    """`client.branches`: the branches of a chat."""

    list = AsyncPagedMethod(branches.page)
    page = AsyncCallMethod(branches.page)
    diff = AsyncCallMethod(branches.diff)


class AsyncChats(AsyncResource):
    """`client.chats`: chats."""

    create = AsyncCallMethod(chats.create)
    list = AsyncPagedMethod(chats.page)
    page = AsyncCallMethod(chats.page)
    get = AsyncCallMethod(chats.get)
    get_or_create = AsyncCallMethod(chats.get_or_create)
    replace = AsyncCallMethod(chats.replace)
    patch = AsyncCallMethod(chats.patch)
    delete = AsyncCallMethod(chats.delete)
    restore = AsyncCallMethod(chats.restore)
    fork = AsyncCallMethod(chats.fork)


class AsyncFeedback(AsyncResource):
    """`client.feedback`: ratings of a message by its callers."""

    list = AsyncPagedMethod(feedback.page)
    page = AsyncCallMethod(feedback.page)
    put = AsyncCallMethod(feedback.put)
    delete = AsyncCallMethod(feedback.delete)


class AsyncHealth(AsyncResource):
    """`client.health`: whether the service is well."""

    alive = AsyncCallMethod(health.alive)
    ready = AsyncCallMethod(health.ready)


class AsyncRevisions(AsyncResource):
    """`client.revisions`: what a message was before its edits."""

    list = AsyncPagedMethod(revisions.page)
    page = AsyncCallMethod(revisions.page)


class AsyncStatistics(AsyncResource):
    """`client.stats`: statistics."""

    totals = AsyncCallMethod(stats.totals)
    daily = AsyncCallMethod(stats.daily)
    top = AsyncCallMethod(stats.top)
    storage = AsyncCallMethod(stats.storage)


class AsyncTurns(AsyncResource):
    """`client.turns`: the lease of a chat's turn."""

    take = AsyncCallMethod(turns.take)
    get = AsyncCallMethod(turns.get)
    renew = AsyncCallMethod(turns.renew)
    release = AsyncCallMethod(turns.release)
