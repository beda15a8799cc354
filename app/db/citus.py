"""Citus: how the tables and functions go to the machines of a cluster, which machine has a user, and which are reached.

Everything is distributed by `user_id`, so that all of a user is on one machine (worker). Clients connect to the
coordinator, as to any Postgres. https://docs.citusdata.com/en/stable/develop/api_udf.html
"""

from collections.abc import Hashable, Sequence

from alembic import context, op

from app.db.database import Database

# With it, the tables of a user stand together, and follow each other where a shard is moved.
_ROOT = "chats"
# What every machine has a copy of: it has no user, and is found by what a request brings.
_REFERENCE_TABLES = {"api_keys"}

_PLACEMENT = f"""
SELECT groupid FROM pg_dist_placement WHERE shardid = get_shard_id_for_distribution_column('{_ROOT}', $1::text)
ORDER BY groupid LIMIT 1
"""
# A machine is out of reach that no other can connect to.
_MACHINES = """
SELECT to_nodename || ':' || to_nodeport, coalesce(bool_or(result), false)
FROM citus_check_cluster_node_health() GROUP BY 1 ORDER BY 1
"""


def distribute_table(name: str) -> None:
    """Distributes a table that was just created, in a migration; nothing where the database is no cluster.

    To be called before it has rows, and after the tables that it refers to.
    """
    if not _is_cluster():
        return
    if name in _REFERENCE_TABLES:
        op.execute(f"SELECT create_reference_table('{name}')")
    else:
        colocated = "none" if name == _ROOT else _ROOT
        op.execute(f"SELECT create_distributed_table('{name}', 'user_id', colocate_with => '{colocated}')")


def distribute_function(signature: str, *, by_owner: bool = False) -> None:
    """Gives every machine a function, in a migration; nothing where the database is no cluster.

    With `by_owner` a call is handed to the machine of the user that is its first argument.
    """
    if _is_cluster():
        argument = f", '$1', colocate_with => '{_ROOT}'" if by_owner else ""
        op.execute(f"SELECT create_distributed_function('{signature}'{argument})")


def _is_cluster() -> bool:
    return bool(context.config.attributes.get("citus"))


async def placement(db: Database, user_id: str) -> Hashable:
    """The machine that has a user: its number in the cluster. Raises what the driver raises."""
    row = await db.driver.fetch_one(_PLACEMENT, user_id)
    # Of tables that are not distributed everything is on one.
    return -1 if row is None else int(row[0])


async def machines(db: Database) -> Sequence[tuple[str, bool]]:
    """The machines of the cluster, and whether each is within reach. Raises what the driver raises."""
    return [(row[0], row[1]) for row in await db.driver.fetch(_MACHINES)]
