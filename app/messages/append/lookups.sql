-- The message of a chat that a text names: by its id, seq or `key:` and its key, or none ('') at all.
CREATE OR REPLACE FUNCTION chatkeep_find_message(owner text, chat uuid, ref text)
RETURNS TABLE (seq int, message_id uuid, segment int)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    IF ref = '' THEN
        RETURN QUERY SELECT NULL::int, NULL::uuid, NULL::int;
    ELSIF ref ~ '^[0-9]{1,10}$' THEN
        RETURN QUERY SELECT m.seq, m.message_id, m.segment FROM messages m
        WHERE m.user_id = owner AND m.chat_id = chat AND m.seq = ref::bigint;
    ELSIF ref ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RETURN QUERY SELECT m.seq, m.message_id, m.segment FROM messages m
        WHERE m.user_id = owner AND m.message_id = ref::uuid AND m.chat_id = chat;
    ELSIF starts_with(ref, 'key:') THEN
        RETURN QUERY SELECT m.seq, m.message_id, m.segment FROM messages m
        WHERE m.user_id = owner AND m.chat_id = chat AND m.key = substr(ref, 5);
    END IF;
END
$$;
--;
-- The ids of the messages that follow the message `parent` of a chat (of the roots for NULL), in order. What follows a
-- message is the next seq, or in the index of those that do not follow the seq before.
CREATE OR REPLACE FUNCTION chatkeep_children(owner text, chat uuid, parent int)
RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF parent IS NULL THEN
        RETURN ARRAY(
            SELECT m.message_id::text FROM messages m
            WHERE m.user_id = owner AND m.chat_id = chat AND m.parent_seq IS NULL
                AND (m.parent_seq IS NULL OR m.parent_seq < m.seq - 1)
            ORDER BY m.seq
        );
    END IF;
    RETURN ARRAY(
        SELECT c.message_id::text FROM (
            SELECT m.seq, m.message_id FROM messages m
            WHERE m.user_id = owner AND m.chat_id = chat AND m.seq = parent + 1 AND m.parent_seq = parent
            UNION ALL
            SELECT m.seq, m.message_id FROM messages m
            WHERE m.user_id = owner AND m.chat_id = chat AND m.parent_seq = parent
                AND (m.parent_seq IS NULL OR m.parent_seq < m.seq - 1)
        ) AS c ORDER BY c.seq
    );
END
$$;
