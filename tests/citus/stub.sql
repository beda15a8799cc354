-- What Chatkeep calls of Citus, on a single Postgres: two machines with two shards each, and notes of what was asked.
-- Like Citus, it takes a table only while it is empty, and after those that it refers to.
CREATE TABLE citus_calls (number serial, function text, object text, colocated text);
CREATE FUNCTION create_distributed_table(
    table_name regclass, distribution_column text, colocate_with text DEFAULT 'default'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    missing text;
    has_rows boolean;
BEGIN
    SELECT min(confrelid::regclass::text) INTO missing FROM pg_constraint
    WHERE conrelid = table_name AND contype = 'f'
        AND confrelid::regclass::text NOT IN (SELECT object FROM citus_calls);
    IF missing IS NOT NULL THEN
        RAISE 'referenced table % must be a distributed table', missing;
    END IF;
    IF colocate_with NOT IN ('none', 'default') AND colocate_with NOT IN (SELECT object FROM citus_calls) THEN
        RAISE 'relation % is not distributed', colocate_with;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', table_name) INTO has_rows;
    IF has_rows OR distribution_column <> 'user_id' THEN
        RAISE 'not so';
    END IF;
    INSERT INTO citus_calls (function, object, colocated)
    VALUES ('create_distributed_table', table_name, colocate_with);
END $$;
CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO citus_calls (function, object) VALUES ('create_reference_table', table_name);
$$;
CREATE FUNCTION create_distributed_function(
    function_name regprocedure, distribution_arg_name text DEFAULT '', colocate_with text DEFAULT 'default'
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO citus_calls (function, object, colocated)
    SELECT 'create_distributed_function ' || distribution_arg_name, proname, colocate_with
    FROM pg_proc WHERE oid = function_name;
$$;
CREATE FUNCTION get_shard_id_for_distribution_column(table_name regclass, value anyelement) RETURNS bigint
LANGUAGE sql AS $$ SELECT 102000 + abs(hashtext(value::text)) % 4 $$;
CREATE TABLE pg_dist_placement (shardid bigint, groupid int);
INSERT INTO pg_dist_placement VALUES (102000, 1), (102001, 2), (102002, 1), (102003, 2);
CREATE TABLE pg_dist_node (groupid int, nodename text, nodeport int, noderole text DEFAULT 'primary');
INSERT INTO pg_dist_node VALUES (0, 'coordinator', 5432), (1, 'worker-1', 5432), (2, 'worker-2', 5432);
CREATE TABLE broken_connections (to_group int);
CREATE FUNCTION citus_check_cluster_node_health() RETURNS TABLE (
    from_nodename text, from_nodeport int, to_nodename text, to_nodeport int, result boolean
) LANGUAGE sql AS $$
    SELECT f.nodename, f.nodeport, t.nodename, t.nodeport,
        CASE WHEN f.groupid IN (SELECT to_group FROM broken_connections) THEN NULL
            ELSE t.groupid NOT IN (SELECT to_group FROM broken_connections) END
    FROM pg_dist_node f CROSS JOIN pg_dist_node t
$$;
