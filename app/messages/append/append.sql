-- Appends a group of requests to chats in one transaction, and gives a row for each of them.
--
-- Parameters are columns. `a_*` have one element for each append, in the order in which chats are locked; the appends
-- to one chat are a run, from one with `a_first` to one with `a_last`. `m_*` have one element for each message:
-- `m_append` is the number of its append (from 1), `m_index` its index there (from 0), `m_extras` the columns that
-- most messages do not have. `a_parent` is the message that an append follows, by id or seq: '' for a root, NULL for
-- the head. `a_lease_token` is that of the lease under which it is written. `a_counts` is what it adds to the
-- counters, rows as in app/events/counter_deltas.py separated by commas. `at` is now. Responses kept since
-- `oldest_kept` are repeated.
--
-- Outcomes are `appended`, `repeated` (its Idempotency-Key was seen before), `no_such_chat`, `needs_branch` (it may
-- begin one) and `lease_held` (by somebody else, or its own has ended). At the end each user's changes and counts are
-- recorded: the row of a user's position is locked last of all.
CREATE OR REPLACE FUNCTION chatkeep_append(
    a_first boolean[], a_last boolean[],
    a_user_id text[], a_chat_id uuid[], a_key text[], a_new_chat_id uuid[], a_messages int[],
    a_input_tokens bigint[], a_output_tokens bigint[], a_total_tokens bigint[],
    a_head_id uuid[], a_parent text[], a_lease_token bigint[], a_counts text[],
    a_route text[], a_idempotency_key text[], a_request_sha256 text[], a_body text[],
    m_append int[], m_index int[], m_message_id uuid[], m_role text[], m_type text[], m_content json[], m_text text[],
    m_extras json[], m_created_at timestamptz[],
    at timestamptz, oldest_kept timestamptz
)
RETURNS TABLE (
    number int, outcome text, chat_id uuid, first_seq int, parent_id uuid,
    request_sha256 text, status int, body text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    a record;
    target uuid;
    head record;
    is_held boolean;
    repeated record;
    -- What this run of appends adds to its chat.
    run_appends int;
    run_first int;
    run_messages int;
    run_input_tokens bigint;
    run_output_tokens bigint;
    run_total_tokens bigint;
    run_counts text;
    -- What each append got, by its number; a chat of NULL stands for one that stores nothing.
    got_chat uuid[] := '{}';
    got_first int[] := '{}';
    got_parent int[] := '{}';
    got_segment int[] := '{}';
    -- What changed: whose it is, how many changes, and the entry for the feed.
    change_user text[] := '{}';
    change_count int[] := '{}';
    change_entries text[] := '{}';
    change_counts text[] := '{}';
    current_owner text;
    user_count int := 0;
    user_entries text := '';
    user_counts text := '';
    last_position bigint;
BEGIN
    FOR a IN
        SELECT * FROM unnest(
            a_first, a_last, a_user_id, a_chat_id, a_key, a_new_chat_id, a_messages,
            a_input_tokens, a_output_tokens, a_total_tokens, a_head_id, a_parent, a_lease_token, a_counts,
            a_route, a_idempotency_key, a_request_sha256, a_body
        ) WITH ORDINALITY AS t (
            first, last, user_id, chat_id, key, new_chat_id, messages,
            input_tokens, output_tokens, total_tokens, head_id, parent, lease_token, counts,
            route, idempotency_key, request_sha256, body, number
        )
    LOOP
        number := a.number;
        got_chat[number] := NULL;
        IF a.first THEN
            IF user_count > 0 AND current_owner <> a.user_id THEN
                change_user := change_user || current_owner;
                change_count := change_count || user_count;
                change_entries := change_entries || user_entries;
                change_counts := change_counts || user_counts;
                user_count := 0;
                user_entries := '';
                user_counts := '';
            END IF;
            current_owner := a.user_id;
            target := a.chat_id;
            run_appends := 0;
            run_messages := 0;
            run_input_tokens := 0;
            run_output_tokens := 0;
            run_total_tokens := 0;
            run_counts := '';
            IF a.key IS NOT NULL THEN
                SELECT c.chat_id INTO target FROM chats c
                WHERE c.user_id = a.user_id AND c.key = a.key AND c.deleted_at IS NULL;
            END IF;
            -- The lock comes first: a retry that another process is answering waits here until its key can be seen.
            SELECT c.last_seq, c.head_seq, c.head_id, c.segment, c.tree_version, c.lease_token, c.lease_until,
                c.platform INTO head FROM chats c
            WHERE c.user_id = a.user_id AND c.chat_id = target AND c.deleted_at IS NULL
            FOR NO KEY UPDATE;
        END IF;
        outcome := 'no_such_chat';
        chat_id := NULL;
        first_seq := NULL;
        parent_id := NULL;
        request_sha256 := NULL;
        status := NULL;
        body := NULL;
        IF a.idempotency_key IS NOT NULL THEN
            SELECT i.chat_id, i.first_seq, i.parent_id, i.request_sha256, i.status, i.body INTO repeated
            FROM idempotency i
            WHERE i.user_id = a.user_id AND i.route = a.route AND i.key = a.idempotency_key
                AND i.created_at >= oldest_kept;
            IF FOUND THEN
                outcome := 'repeated';
                chat_id := repeated.chat_id;
                first_seq := repeated.first_seq;
                parent_id := repeated.parent_id;
                request_sha256 := repeated.request_sha256;
                status := repeated.status;
                body := repeated.body;
            END IF;
        END IF;
        IF outcome = 'no_such_chat' AND head.last_seq IS NOT NULL THEN
            IF head.lease_until IS NOT NULL OR a.lease_token IS NOT NULL THEN
                -- By the clock of the caller, but after the wait for the lock: the lease may have ended meanwhile.
                is_held := coalesce(head.lease_until > at + (clock_timestamp() - statement_timestamp()), false);
                IF is_held AND a.lease_token IS DISTINCT FROM head.lease_token
                    OR a.lease_token IS NOT NULL AND NOT is_held THEN
                    outcome := 'lease_held';
                END IF;
            END IF;
            -- What follows the last message that was written has no siblings; what follows another one may have some.
            IF outcome = 'no_such_chat' AND (a.parent IS NOT NULL AND a.parent <> coalesce(head.head_id::text, '')
                AND a.parent <> coalesce(head.head_seq::text, '')
                OR head.tree_version > 0 AND head.head_seq IS DISTINCT FROM head.last_seq) THEN
                outcome := 'needs_branch';
            END IF;
        END IF;
        IF outcome = 'no_such_chat' AND (head.last_seq IS NOT NULL OR (a.key IS NOT NULL AND a.lease_token IS NULL
            AND coalesce(a.parent, '') = '')) THEN
            IF head.last_seq IS NULL THEN
                -- Two processes may create it at once: the second waits here, fails, and is tried again.
                target := a.new_chat_id;
                INSERT INTO chats (
                    user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
                    total_tokens, last_seq, segment, tree_version, last_segment, version, created_at, updated_at,
                    last_activity_at
                ) VALUES (a.user_id, a.new_chat_id, a.key, '[]', false, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 1, at, at, at);
                SELECT 0 AS last_seq, NULL::int AS head_seq, NULL::uuid AS head_id, 0 AS segment, 0 AS tree_version,
                    NULL::bigint AS lease_token, NULL::timestamptz AS lease_until, NULL::text AS platform INTO head;
                user_count := user_count + 1;
                user_entries := user_entries || ',["chat.created","' || target || '"]';
                user_counts := user_counts
                    || ',["chats",null,' || floor(extract(epoch FROM at) / 900)::bigint || ',1,1,0]';
            END IF;
            IF a.idempotency_key IS NOT NULL THEN
                INSERT INTO idempotency AS i (
                    user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, parent_id,
                    created_at
                ) VALUES (
                    a.user_id, a.route, a.idempotency_key, a.request_sha256, 201, a.body, '{}', target,
                    head.last_seq + 1, head.head_id, at
                )
                ON CONFLICT (user_id, route, key) DO UPDATE SET
                    request_sha256 = excluded.request_sha256, status = excluded.status, body = excluded.body,
                    headers = excluded.headers, chat_id = excluded.chat_id, first_seq = excluded.first_seq,
                    parent_id = excluded.parent_id, created_at = excluded.created_at
                WHERE i.created_at < oldest_kept;
                IF NOT FOUND THEN
                    RAISE unique_violation USING MESSAGE = 'the same Idempotency-Key is being written';
                END IF;
            END IF;
            got_chat[number] := target;
            got_first[number] := head.last_seq + 1;
            got_parent[number] := head.head_seq;
            got_segment[number] := head.segment;
            outcome := 'appended';
            chat_id := target;
            first_seq := head.last_seq + 1;
            parent_id := head.head_id;
            IF run_appends = 0 THEN
                run_first := first_seq;
            END IF;
            head.last_seq := head.last_seq + a.messages;
            head.head_seq := head.last_seq;
            head.head_id := a.head_id;
            run_appends := run_appends + 1;
            run_messages := run_messages + a.messages;
            run_input_tokens := run_input_tokens + a.input_tokens;
            run_output_tokens := run_output_tokens + a.output_tokens;
            run_total_tokens := run_total_tokens + a.total_tokens;
            run_counts := run_counts || ',' || a.counts;
        END IF;
        IF a.last AND run_appends > 0 THEN
            -- Once for the run: a row that is written over and over in one transaction gets slower to find each time.
            UPDATE chats c SET
                last_seq = head.last_seq,
                head_seq = head.head_seq,
                head_id = head.head_id,
                message_count = c.message_count + run_messages,
                input_tokens = c.input_tokens + run_input_tokens,
                output_tokens = c.output_tokens + run_output_tokens,
                total_tokens = c.total_tokens + run_total_tokens,
                version = c.version + run_appends,
                last_activity_at = greatest(c.last_activity_at, at)
            WHERE c.user_id = a.user_id AND c.chat_id = target;
            user_count := user_count + run_messages;
            user_counts := user_counts || ',["messages",' || coalesce(to_json(head.platform)::text, 'null')
                || ',[' || substr(run_counts, 2) || ']]';
            user_entries := user_entries
                || ',["appended","' || target || '",' || run_first || ',' || run_messages || ']';
        END IF;
        RETURN NEXT;
    END LOOP;

    INSERT INTO messages (
        user_id, chat_id, seq, parent_seq, segment, message_id, role, type, content, text, tool_calls, tool_call_id,
        name, model, tokens, input_tokens, output_tokens, metadata, payload, created_at
    )
    SELECT
        a_user_id[m.append], got_chat[m.append], got_first[m.append] + m.index,
        CASE m.index WHEN 0 THEN got_parent[m.append] ELSE got_first[m.append] + m.index - 1 END,
        got_segment[m.append], m.message_id, m.role, m.type, m.content, m.text,
        m.extras -> 'tool_calls', m.extras ->> 'tool_call_id', m.extras ->> 'name', m.extras ->> 'model',
        (m.extras ->> 'tokens')::bigint, (m.extras ->> 'input_tokens')::bigint, (m.extras ->> 'output_tokens')::bigint,
        m.extras -> 'metadata', m.extras -> 'payload', m.created_at
    FROM unnest(
        m_append, m_index, m_message_id, m_role, m_type, m_content, m_text, m_extras, m_created_at
    ) AS m (
        append, index, message_id, role, type, content, text, extras, created_at
    )
    WHERE got_chat[m.append] IS NOT NULL;

    IF user_count > 0 THEN
        change_user := change_user || current_owner;
        change_count := change_count || user_count;
        change_entries := change_entries || user_entries;
        change_counts := change_counts || user_counts;
    END IF;
    FOR n IN 1 .. cardinality(change_user) LOOP
        UPDATE feeds f SET position = f.position + change_count[n] WHERE f.user_id = change_user[n]
        RETURNING f.position INTO last_position;
        IF NOT FOUND THEN
            -- Two processes may begin it at once: the second waits here.
            INSERT INTO feeds AS f (user_id, position, pruned) VALUES (change_user[n], change_count[n], 0)
            ON CONFLICT (user_id) DO UPDATE SET position = f.position + excluded.position
            RETURNING f.position INTO last_position;
        END IF;
        INSERT INTO changes (user_id, position, at, entries, counts)
        VALUES (
            change_user[n], last_position, at, ('[' || substr(change_entries[n], 2) || ']')::json,
            ('[' || substr(change_counts[n], 2) || ']')::json
        );
    END LOOP;
END
$$;
