-- Appends a group of requests to chats in one transaction, and gives a row for each of them. The rules are those of
-- app/messages/append/contract.py.
--
-- Parameters are columns. `a_*` have one element for each append, and at their end one that is NULL. `m_*` have one
-- element for each message: `m_append` is the number of its append (from 1), `m_index` its index there (from 0),
-- `m_extras` the columns that most messages do not have, which stand in braces here until the file is installed.
-- `a_if_match` has ETags between spaces, or ` * `. `a_counts` is what the append adds to the counters: `MessageCounts`
-- as JSON arrays, separated by commas. A response that was stored before `a_kept_since` is not repeated; one without
-- `a_body` is not stored. The events and counter deltas come ready made, but for what is known only here:
-- `appended_event` and the others are formats. `message_keys` has by the number of an append the keys of its messages,
-- of appends that have any; it is NULL where none has. `at` is now.
--
-- Outcomes are `appended`, `repeated`, `no_such_chat`, `no_such_parent`, `version_mismatch`, `lease_held` and
-- `key_taken`, whose body has the key, the id and the seq of each message that is in the way; and `again` for an append
-- that must wait for those before it, and has to be called for once more. At the end each user's changes are recorded:
-- the row of a user's position is locked last of all.
--
-- `owner` is one of the users: on Citus the group is that of one machine, and the call is handed to it by this argument.
CREATE OR REPLACE FUNCTION chatkeep_append(
    owner text, a_user_id text[], a_chat_id uuid[], a_key text[], a_new_chat_id uuid[], a_messages int[],
    a_input_tokens bigint[], a_output_tokens bigint[], a_total_tokens bigint[],
    a_head_id uuid[], a_parent text[], a_lease_token bigint[], a_if_match text[], a_counts text[],
    a_route text[], a_idempotency_key text[], a_request_sha256 text[], a_body text[], a_kept_since timestamptz[],
    m_append int[], m_index int[], m_message_id uuid[], m_role text[], m_type text[], m_content json[],
    m_extras json[], m_created_at timestamptz[],
    appended_event text, created_event text, messages_delta text, created_delta text, streaming boolean,
    message_keys json, at timestamptz
)
RETURNS TABLE (
    number int, outcome text, chat_id uuid, first_seq int, parent_id uuid, siblings text[],
    request_sha256 text, body text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    a record;
    targets uuid[] := a_chat_id;
    target uuid;
    head record;
    is_held boolean;
    is_moved boolean;
    parent record;
    repeated record;
    -- A run of appends to one chat: which it is, and what they add to it.
    run_target uuid;
    run_key text;
    run_appends int := 0;
    run_first int;
    run_messages int;
    run_input_tokens bigint;
    run_output_tokens bigint;
    run_total_tokens bigint;
    -- The keys of the messages of an append, and of those before it in the run.
    keys text[];
    run_keys text[];
    -- What each append got, by its number; a chat of NULL stands for one that stores nothing.
    got_chat uuid[] := array_fill(NULL::uuid, ARRAY[cardinality(a_user_id)]);
    got_first int[] := array_fill(NULL::int, ARRAY[cardinality(a_user_id)]);
    got_parent int[] := got_first;
    got_segment int[] := got_first;
    -- What changed: whose it is, how many positions that takes, and the events and deltas, separated by commas.
    change_user text[] := '{}';
    change_count int[] := '{}';
    change_events text[] := '{}';
    change_deltas text[] := '{}';
    current_owner text;
    user_count int := 0;
    user_events text := '';
    user_deltas text := '';
    -- What its messages add to the counters, and how many of its appends add just that.
    counts text;
    same int;
    user_counts text[] := '{}';
    user_times int[] := '{}';
    last_position bigint;
BEGIN
    -- Keys are resolved before anything is locked, so that chats are locked in one order, however they are named.
    FOR i IN 1 .. cardinality(a_key) LOOP
        IF a_key[i] IS NOT NULL THEN
            SELECT c.chat_id INTO target FROM chats c
            WHERE c.user_id = a_user_id[i] AND c.key = a_key[i] AND c.deleted_at IS NULL;
            targets[i] := target;
        END IF;
    END LOOP;
    -- First those that are there by their ids, then those that are created by their keys.
    FOR a IN
        SELECT * FROM unnest(
            a_user_id, targets, a_key, a_new_chat_id, a_messages,
            a_input_tokens, a_output_tokens, a_total_tokens, a_head_id, a_parent, a_lease_token, a_if_match, a_counts,
            a_route, a_idempotency_key, a_request_sha256, a_body, a_kept_since
        ) WITH ORDINALITY AS t (
            user_id, target, key, new_chat_id, messages,
            input_tokens, output_tokens, total_tokens, head_id, parent, lease_token, if_match, counts,
            route, idempotency_key, request_sha256, body, kept_since, number
        )
        ORDER BY t.user_id COLLATE "C", t.target, t.key COLLATE "C", t.number
    LOOP
        number := a.number;
        outcome := NULL;
        chat_id := NULL;
        first_seq := NULL;
        parent_id := NULL;
        siblings := NULL;
        request_sha256 := NULL;
        body := NULL;
        IF a.user_id IS DISTINCT FROM current_owner OR a.target IS DISTINCT FROM run_target
            OR a.target IS NULL AND a.key IS DISTINCT FROM run_key THEN
            IF run_appends > 0 THEN
                -- Once for the run: a row written over and over in one transaction gets slower to find each time.
                UPDATE chats c SET
                    last_seq = head.last_seq,
                    head_seq = head.head_seq,
                    head_id = head.head_id,
                    segment = head.segment,
                    tree_version = head.tree_version,
                    last_segment = head.last_segment,
                    message_count = c.message_count + run_messages,
                    input_tokens = c.input_tokens + run_input_tokens,
                    output_tokens = c.output_tokens + run_output_tokens,
                    total_tokens = c.total_tokens + run_total_tokens,
                    version = head.version,
                    last_activity_at = greatest(c.last_activity_at, at)
                WHERE c.user_id = current_owner AND c.chat_id = target;
                IF head.listed_at = head.last_activity_at AND head.listed_at < at THEN
                    INSERT INTO moved_chats (user_id, chat_id) VALUES (current_owner, target);
                END IF;
                user_count := user_count + run_messages;
                user_events := user_events || ',' || format(appended_event, target, run_first, run_messages);
            END IF;
            IF user_count > 0 AND current_owner IS DISTINCT FROM a.user_id THEN
                FOR n IN 1 .. cardinality(user_counts) LOOP
                    user_deltas := user_deltas || ',' || format(messages_delta, user_counts[n], user_times[n]);
                END LOOP;
                change_user := change_user || current_owner;
                change_count := change_count || user_count;
                change_events := change_events || user_events;
                change_deltas := change_deltas || user_deltas;
                user_count := 0;
                user_events := '';
                user_deltas := '';
                user_counts := '{}';
                user_times := '{}';
            END IF;
            EXIT WHEN a.user_id IS NULL;
            current_owner := a.user_id;
            run_target := a.target;
            run_key := a.key;
            target := a.target;
            run_appends := 0;
            run_messages := 0;
            run_input_tokens := 0;
            run_output_tokens := 0;
            run_total_tokens := 0;
            run_keys := '{}';
            -- The lock comes first: a retry that another process is answering waits here until its key can be seen.
            SELECT c.last_seq, c.head_seq, c.head_id, c.segment, c.tree_version, c.last_segment, c.version,
                c.lease_token, c.lease_until, c.platform, c.key, c.last_activity_at, c.listed_at INTO head FROM chats c
            WHERE c.user_id = a.user_id AND c.chat_id = target AND c.deleted_at IS NULL
            FOR NO KEY UPDATE;
        END IF;
        IF a.idempotency_key IS NOT NULL THEN
            SELECT i.chat_id, i.first_seq, i.parent_id, i.siblings, i.request_sha256, i.body INTO repeated
            FROM idempotency i
            WHERE i.user_id = a.user_id AND i.route = a.route AND i.key = a.idempotency_key
                AND i.created_at >= a.kept_since;
            IF FOUND THEN
                outcome := 'repeated';
                chat_id := repeated.chat_id;
                first_seq := repeated.first_seq;
                parent_id := repeated.parent_id;
                siblings := ARRAY(SELECT json_array_elements_text(repeated.siblings));
                request_sha256 := repeated.request_sha256;
                body := repeated.body;
            END IF;
        END IF;
        IF outcome IS NULL THEN
            IF head.last_seq IS NOT NULL THEN
                IF a.key IS NOT NULL AND a.target IS NOT NULL AND head.key IS DISTINCT FROM a.key THEN
                    -- It had that key before it was locked.
                    outcome := 'again';
                ELSIF a.if_match IS NOT NULL AND a.if_match <> ' * '
                    AND position(format(' "%s-%s" ', head.version, right(target::text, 12)) IN a.if_match) = 0 THEN
                    outcome := 'version_mismatch';
                ELSIF head.lease_until IS NOT NULL OR a.lease_token IS NOT NULL THEN
                    -- By the clock of the caller, but after the wait for the lock: the lease may have ended meanwhile.
                    is_held := coalesce(head.lease_until > at + (clock_timestamp() - statement_timestamp()), false);
                    IF is_held AND a.lease_token IS DISTINCT FROM head.lease_token
                        OR a.lease_token IS NOT NULL AND NOT is_held THEN
                        outcome := 'lease_held';
                    END IF;
                END IF;
            ELSIF a.key IS NULL OR a.lease_token IS NOT NULL OR a.if_match IS NOT NULL OR coalesce(a.parent, '') <> ''
            THEN
                outcome := 'no_such_chat';
            ELSIF a.target IS NOT NULL THEN
                -- It went into the trash before it was locked.
                outcome := 'again';
            ELSE
                -- Two processes may create it at once: the second waits here, fails, and is tried again.
                target := a.new_chat_id;
                INSERT INTO chats (
                    user_id, chat_id, key, tags, is_pinned, metadata, message_count, input_tokens, output_tokens,
                    total_tokens, last_seq, segment, tree_version, last_segment, version, created_at, updated_at,
                    last_activity_at, listed_at
                ) VALUES (
                    a.user_id, a.new_chat_id, a.key, '[]', false, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 1, at, at, at, at
                );
                SELECT 0 AS last_seq, NULL::int AS head_seq, NULL::uuid AS head_id, 0 AS segment, 0 AS tree_version,
                    0 AS last_segment, 1::bigint AS version, NULL::bigint AS lease_token,
                    NULL::timestamptz AS lease_until, NULL::text AS platform, a.key AS key, at AS last_activity_at,
                    at AS listed_at INTO head;
                user_count := user_count + 1;
                user_events := user_events || ',' || format(created_event, target);
                user_deltas := user_deltas || ',' || created_delta;
            END IF;
        END IF;
        IF outcome IS NULL AND message_keys IS NOT NULL THEN
            keys := ARRAY(SELECT json_array_elements_text(message_keys -> number::text));
            IF run_keys && keys THEN
                -- That message is inserted at the end, and cannot be seen yet.
                outcome := 'again';
            ELSIF cardinality(keys) > 0 THEN
                SELECT json_agg(json_build_array(m.key, m.message_id, m.seq)) INTO body FROM messages m
                WHERE m.user_id = a.user_id AND m.chat_id = target AND m.key = ANY (keys) AND m.key IS NOT NULL;
                IF body IS NOT NULL THEN
                    outcome := 'key_taken';
                END IF;
            END IF;
        END IF;
        IF outcome IS NULL THEN
            is_moved := a.parent IS NOT NULL AND a.parent <> coalesce(head.head_id::text, '')
                AND a.parent <> coalesce(head.head_seq::text, '');
            IF (is_moved OR head.tree_version > 0 AND head.head_seq IS DISTINCT FROM head.last_seq) THEN
                IF run_appends > 0 THEN
                    -- What came before is inserted at the end, and cannot be seen yet.
                    outcome := 'again';
                ELSE
                    IF is_moved THEN
                        SELECT * INTO parent FROM chatkeep_find_message(a.user_id, target, a.parent);
                        IF NOT FOUND THEN
                            outcome := 'no_such_parent';
                        END IF;
                        is_moved := parent.seq IS DISTINCT FROM head.head_seq;
                    END IF;
                    IF outcome IS NULL AND is_moved THEN
                        IF parent.segment > 0 AND NOT EXISTS (
                            SELECT FROM messages m WHERE m.user_id = a.user_id AND m.chat_id = target
                                AND m.segment = parent.segment AND m.segment > 0 AND m.seq > parent.seq
                        ) THEN
                            head.segment := parent.segment;
                        ELSE
                            head.last_segment := head.last_segment + 1;
                            head.segment := head.last_segment;
                            INSERT INTO segments (user_id, chat_id, segment, parent_segment, fork_seq)
                            VALUES (a.user_id, target, head.segment, parent.segment, coalesce(parent.seq, 0));
                        END IF;
                        head.head_seq := parent.seq;
                        head.head_id := parent.message_id;
                    END IF;
                    IF outcome IS NULL AND (
                        is_moved OR head.tree_version > 0 AND head.head_seq IS DISTINCT FROM head.last_seq
                    ) THEN
                        -- Others may follow the same message.
                        siblings := nullif(chatkeep_children(a.user_id, target, head.head_seq), '{}');
                        head.tree_version := head.tree_version + 1;
                    END IF;
                END IF;
            END IF;
        END IF;
        IF outcome IS NULL THEN
            IF a.body IS NOT NULL THEN
                INSERT INTO idempotency AS i (
                    user_id, route, key, request_sha256, status, body, headers, chat_id, first_seq, parent_id, siblings,
                    created_at
                ) VALUES (
                    a.user_id, a.route, a.idempotency_key, a.request_sha256, 201, a.body, '{}', target,
                    head.last_seq + 1, head.head_id, to_json(siblings), at
                )
                ON CONFLICT (user_id, route, key) DO UPDATE SET
                    request_sha256 = excluded.request_sha256, status = excluded.status, body = excluded.body,
                    headers = excluded.headers, chat_id = excluded.chat_id, first_seq = excluded.first_seq,
                    parent_id = excluded.parent_id, siblings = excluded.siblings, created_at = excluded.created_at
                WHERE i.created_at < a.kept_since;
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
            head.version := head.version + 1;
            run_appends := run_appends + 1;
            run_messages := run_messages + a.messages;
            run_input_tokens := run_input_tokens + a.input_tokens;
            run_output_tokens := run_output_tokens + a.output_tokens;
            run_total_tokens := run_total_tokens + a.total_tokens;
            counts := format('%s,[%s]', coalesce(to_json(head.platform)::text, 'null'), a.counts);
            same := array_position(user_counts, counts);
            IF same IS NOT NULL THEN
                user_times[same] := user_times[same] + 1;
            ELSE
                user_counts := user_counts || counts;
                user_times := user_times || 1;
            END IF;
            IF message_keys IS NOT NULL THEN
                run_keys := run_keys || keys;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;

    INSERT INTO messages (
        user_id, chat_id, seq, parent_seq, segment, message_id, role, type, content, created_at, {extra_columns}
    )
    SELECT
        a_user_id[m.append], got_chat[m.append], got_first[m.append] + m.index,
        CASE m.index WHEN 0 THEN got_parent[m.append] ELSE got_first[m.append] + m.index - 1 END,
        got_segment[m.append], m.message_id, m.role, m.type, m.content, m.created_at, {extra_values}
    FROM unnest(
        m_append, m_index, m_message_id, m_role, m_type, m_content, m_extras, m_created_at
    ) AS m (
        append, index, message_id, role, type, content, extras, created_at
    )
    WHERE got_chat[m.append] IS NOT NULL;

    IF streaming THEN
        -- What a message in progress begins with is its first chunk.
        INSERT INTO streaming_messages (user_id, chat_id, seq, stored, lease_token, touched_at)
        SELECT
            a_user_id[m.append], got_chat[m.append], got_first[m.append] + m.index,
            coalesce(length(m.content #>> '{}'), 0), a_lease_token[m.append], at
        FROM unnest(m_append, m_index, m_content, m_extras) AS m (append, index, content, extras)
        WHERE got_chat[m.append] IS NOT NULL AND m.extras ->> 'status' IS NOT NULL;
        INSERT INTO chunks (user_id, chat_id, seq, start, text)
        SELECT a_user_id[m.append], got_chat[m.append], got_first[m.append] + m.index, 0, m.content #>> '{}'
        FROM unnest(m_append, m_index, m_content, m_extras) AS m (append, index, content, extras)
        WHERE got_chat[m.append] IS NOT NULL AND m.extras ->> 'status' IS NOT NULL AND m.content #>> '{}' <> '';
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
        INSERT INTO changes (user_id, position, at, events, deltas)
        VALUES (
            change_user[n], last_position, at, ('[' || substr(change_events[n], 2) || ']')::json,
            ('[' || substr(change_deltas[n], 2) || ']')::json
        );
    END LOOP;
END
$$;
