"""The feed's writing side: what a transaction changed is recorded under the next positions of its user.

And what lives on it behind the writers, up to date before it is read: the search index and the counters.
"""
