-- Appends a group of requests in one transaction. Parameters are columns: `a_*` have an element for each append, in the
-- order in which chats are locked, those of one chat as a run from a_first to a_last; `m_*` have one for each message,
-- with the number of its append (from 1), its place in it (from 0), and as `extras` the columns that most messages do
-- not have. `a_parent` is the message that an append follows, by id or seq, '' for a root and NULL for the head, `a_turn`
-- the token of the turn it belongs to. `at` is now. Answers a row for each append: appended, repeated (its
-- Idempotency-Key was seen), missing (no such chat), elsewhere (it may begin a branch) or held (it is somebody else's
-- turn). Then records for each user what was changed, and what that adds to the counters: `a_counts` is that of an append,
-- rows as in app/events/counter_deltas.py separated by commas. The position of a user is locked last of all.
CREATE FUNCTION chatkeep_append(
    a_first boolean[], a_last boolean[],
    a_user_id text[], a_chat_id uuid[], a_key text[], a_new_chat_id uuid[], a_count int[],
    a_input bigint[], a_output bigint[], a_total bigint[], a_head_id uuid[], a_parent text[], a_turn bigint[],
    a_counts text[],
    a_route text[], a_once text[], a_sha256 text[], a_body text[],
    m_append int[], m_place int[], m_message_id uuid[], m_role text[], m_type text[], m_content json[], m_text text[],
    m_extras json[], m_created_at timestamptz[],
    at timestamptz, forgotten_before timestamptz
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
    held boolean;
    seen record;
    -- What this run of appends adds to its chat.
    run_appends int;
    run_first int;
    run_messages int;
    run_input bigint;
    run_output bigint;
    run_total bigint;
    run_counts text;
    -- What each append got, by its number; a chat of NULL stands for one that stores nothing.
    got_chat uuid[] := '{}';
    got_first int[] := '{}';
    got_parent int[] := '{}';
    got_branch int[] := '{}';
    -- What changed: whose it is, how many changes, and the entry for the feed.
    change_user text[] := '{}';
    change_count int[] := '{}';
    change_entries text[] := '{}';
    change_counts text[] := '{}';
    this_user text;
    user_count int := 0;
    user_entries text := '';
    user_counts text := '';
    last_position bigint;
BEGIN
    FOR a IN
        SELECT * FROM unnest(
            a_first, a_last, a_user_id, a_chat_id, a_key, a_new_chat_id, a_count, a_input, a_output, a_total,
            a_head_id, a_parent, a_turn, a_counts, a_route, a_once, a_sha256, a_body
        ) WITH ORDINALITY AS t (
            first, last, user_id, chat_id, key, new_chat_id, count, input, output, total,
            head_id, parent, turn, counts, route, once, sha256, body, number
        )
    LOOP
        number := a.number;
        got_chat[number] := NULL;
        IF a.first THEN
            IF user_count > 0 AND this_user <> a.user_id THEN
                change_user := change_user || this_user;
                change_count := change_count || user_count;
                change_entries := change_entries || user_entries;
                change_counts := change_counts || user_counts;
                user_count := 0;
                user_entries := '';
                user_counts := '';
            END IF;
            this_user := a.user_id;
            target := a.chat_id;
            run_appends := 0;
            run_messages := 0;
            run_input := 0;
            run_output := 0;
            run_total := 0;
            run_counts := '';
            IF a.key IS NOT NULL THEN
                SELECT c.chat_id INTO target FROM chats c
                WHERE c.user_id = a.user_id AND c.key = a.key AND c.deleted_at IS NULL;
            END IF;
            -- The lock comes first: a retry that another process is answering waits here until its key can be seen.
            SELECT c.last_seq, c.head_seq, c.head_id, c.branch, c.tree, c.lease_token, c.lease_until,
                c.platform INTO head FROM chats c
            WHERE c.user_id = a.user_id AND c.chat_id = target AND c.deleted_at IS NULL
            FOR NO KEY UPDATE;
        END IF;
        outcome := 'missing';
        chat_id := NULL;
        first_seq := NULL;
        parent_id := NULL;
        request_sha256 := NULL;
        status := NULL;
        body := NULL;
        IF a.once IS NOT NULL THEN
            SELECT i.chat_id, i.first_seq, i.parent_id, i.request_sha256, i.status, i.body INTO seen FROM idempotency i
            WHERE i.user_id = a.user_id AND i.route = a.route AND i.key = a.once AND i.created_at >= forgotten_before;
            IF FOUND THEN
                outcome := 'repeated';
                chat_id := seen.chat_id;
                first_seq := seen.first_seq;
                parent_id := seen.parent_id;
                request_sha256 := seen.request_sha256;
                status := seen.status;
                body := seen.body;
            END IF;
        END IF;
        IF outcome = 'missing' AND head.last_seq IS NOT NULL THEN
            IF head.lease_until IS NOT NULL OR a.turn IS NOT NULL THEN
                -- By the clock of the caller, but after the wait for the lock: a turn may have ended meanwhile.
                held := coalesce(head.lease_until > at + (clock_timestamp() - statement_timestamp()), false);
                IF held AND a.turn IS DISTINCT FROM head.lease_token OR a.turn IS NOT NULL AND NOT held THEN
                    outcome := 'held';
                END IF;
            END IF;
            -- What follows the last message that was written has no siblings; what follows another one may have some.
            IF outcome = 'missing' AND (a.parent IS NOT NULL AND a.parent <> coalesce(head.head_id::text, '')
                AND a.parent <> coalesce(head.head_seq::text, '')
                OR head.tree > 0 AND head.head_seq IS DISTINCT FROM head.last_seq) THEN
                outcome := 'elsewhere';
            END IF;
        END IF;
        IF outcome = 'missing' AND (head.last_seq IS NOT NULL OR (a.key IS NOT NULL AND a.turn IS NULL
            AND coalesce(a.parent, '') = '')) THEN
            IF head.last_seq IS NULL THEN
                -- Two processes may create it at once: the second waits here, fails, and is tried again.
                target := a.new_chat_id;
                INSERT INTO chats (
                    user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
                    total_tokens, last_seq, branch, tree, last_branch, version, created_at, updated_at, last_activity_at
                ) VALUES (a.user_id, a.new_chat_id, a.key, '[]', false, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 1, at, at, at);
                SELECT 0 AS last_seq, NULL::int AS head_seq, NULL::uuid AS head_id, 0 AS branch, 0 AS tree,
                    NULL::bigint AS lease_token, NULL::timestamptz AS lease_until, NULL::text AS platform INTO head;
                user_count := user_count + 1;
                user_entries := user_entries || ',["chat.created","' || target || '"]';
                user_counts := user_counts || ',["chats",null,' || floor(extract(epoch FROM at) / 900)::bigint || ',1,1,0]';
            END IF;
            IF a.once IS NOT NULL THEN
                INSERT INTO idempotency AS i (
                    user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, parent_id, created_at
                ) VALUES (
                    a.user_id, a.route, a.once, a.sha256, 201, a.body, '{}', target, head.last_seq + 1, head.head_id, at
                )
                ON CONFLICT (user_id, route, key) DO UPDATE SET
                    request_sha256 = excluded.request_sha256, status = excluded.status, body = excluded.body,
                    headers = excluded.headers, chat_id = excluded.chat_id, first_seq = excluded.first_seq,
                    parent_id = excluded.parent_id, created_at = excluded.created_at
                WHERE i.created_at < forgotten_before;
                IF NOT FOUND THEN
                    RAISE unique_violation USING MESSAGE = 'the same Idempotency-Key is being written';
                END IF;
            END IF;
            got_chat[number] := target;
            got_first[number] := head.last_seq + 1;
            got_parent[number] := head.head_seq;
            got_branch[number] := head.branch;
            outcome := 'appended';
            chat_id := target;
            first_seq := head.last_seq + 1;
            parent_id := head.head_id;
            IF run_appends = 0 THEN
                run_first := first_seq;
            END IF;
            head.last_seq := head.last_seq + a.count;
            head.head_seq := head.last_seq;
            head.head_id := a.head_id;
            run_appends := run_appends + 1;
            run_messages := run_messages + a.count;
            run_input := run_input + a.input;
            run_output := run_output + a.output;
            run_total := run_total + a.total;
            run_counts := run_counts || ',' || a.counts;
        END IF;
        IF a.last AND run_appends > 0 THEN
            -- Once for the run: a row that is written over and over in one transaction gets slower to find each time.
            UPDATE chats c SET
                last_seq = head.last_seq,
                head_seq = head.head_seq,
                head_id = head.head_id,
                message_count = c.message_count + run_messages,
                input_tokens = c.input_tokens + run_input,
                output_tokens = c.output_tokens + run_output,
                total_tokens = c.total_tokens + run_total,
                version = c.version + run_appends,
                last_activity_at = greatest(c.last_activity_at, at)
            WHERE c.user_id = a.user_id AND c.chat_id = target;
            user_count := user_count + run_messages;
            user_counts := user_counts || ',["messages",' || coalesce(to_json(head.platform)::text, 'null')
                || ',[' || substr(run_counts, 2) || ']]';
            user_entries := user_entries || ',["appended","' || target || '",' || run_first || ',' || run_messages || ']';
        END IF;
        RETURN NEXT;
    END LOOP;

    INSERT INTO messages (
        user_id, chat_id, seq, parent_seq, branch, message_id, role, type, content, text, tool_calls, tool_call_id,
        name, model, tokens, input_tokens, output_tokens, metadata, payload, created_at
    )
    SELECT
        a_user_id[m.append], got_chat[m.append], got_first[m.append] + m.place,
        CASE m.place WHEN 0 THEN got_parent[m.append] ELSE got_first[m.append] + m.place - 1 END,
        got_branch[m.append], m.message_id, m.role, m.type, m.content, m.text,
        m.extras -> 'tool_calls', m.extras ->> 'tool_call_id', m.extras ->> 'name', m.extras ->> 'model',
        (m.extras ->> 'tokens')::bigint, (m.extras ->> 'input_tokens')::bigint, (m.extras ->> 'output_tokens')::bigint,
        m.extras -> 'metadata', m.extras -> 'payload', m.created_at
    FROM unnest(
        m_append, m_place, m_message_id, m_role, m_type, m_content, m_text, m_extras, m_created_at
    ) AS m (
        append, place, message_id, role, type, content, text, extras, created_at
    )
    WHERE got_chat[m.append] IS NOT NULL;

    IF user_count > 0 THEN
        change_user := change_user || this_user;
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
