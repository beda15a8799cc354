# Generated from chatkeep/_async/resources.py by client/generate_sync.py: edit that file, then run `make format`.
"""Resources whose methods each send the call of the same name in `chatkeep.calls`."""

from chatkeep._sync.methods import CallMethod, PagedMethod, Resource
from chatkeep.calls import api_keys, branches, chats, feedback, health, revisions, stats, turns


class ApiKeys(Resource):
    """`client.api_keys`: API keys."""

    create = CallMethod(api_keys.create)
    list = PagedMethod(api_keys.page)
    page = CallMethod(api_keys.page)
    get = CallMethod(api_keys.get)
    revoke = CallMethod(api_keys.revoke)


class Branches(Resource):
    """`client.branches`: the branches of a chat."""

    list = PagedMethod(branches.page)
    page = CallMethod(branches.page)
    diff = CallMethod(branches.diff)


class Chats(Resource):
    """`client.chats`: chats."""

    create = CallMethod(chats.create)
    list = PagedMethod(chats.page)
    page = CallMethod(chats.page)
    get = CallMethod(chats.get)
    get_or_create = CallMethod(chats.get_or_create)
    replace = CallMethod(chats.replace)
    patch = CallMethod(chats.patch)
    delete = CallMethod(chats.delete)
    restore = CallMethod(chats.restore)
    fork = CallMethod(chats.fork)


class Feedback(Resource):
    """`client.feedback`: ratings of a message by its callers."""

    list = PagedMethod(feedback.page)
    page = CallMethod(feedback.page)
    put = CallMethod(feedback.put)
    delete = CallMethod(feedback.delete)


class Health(Resource):
    """`client.health`: whether the service is well."""

    alive = CallMethod(health.alive)
    ready = CallMethod(health.ready)


class Revisions(Resource):
    """`client.revisions`: what a message was before its edits."""

    list = PagedMethod(revisions.page)
    page = CallMethod(revisions.page)


class Statistics(Resource):
    """`client.stats`: statistics."""

    totals = CallMethod(stats.totals)
    daily = CallMethod(stats.daily)
    top = CallMethod(stats.top)
    storage = CallMethod(stats.storage)


class Turns(Resource):
    """`client.turns`: the lease of a chat's turn."""

    take = CallMethod(turns.take)
    get = CallMethod(turns.get)
    renew = CallMethod(turns.renew)
    release = CallMethod(turns.release)
