-- The words of a document, each with the number of its bucket before it. Not to_tsvector, which would take words apart
-- again by rules of its own, and by the database's locale. Not in SQL, which would be written into every query, and
-- then looks cheap: with its cost, no plan works it out for all rows of a table that was never analysed.
CREATE OR REPLACE FUNCTION chatkeep_terms(bucket bigint, words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100 AS $$
BEGIN
    RETURN array_to_tsvector(string_to_array(ltrim(replace(rtrim(words), ' ', ' ' || bucket::text || '_')), ' '));
END
$$
--;
-- New documents wait in a list that is put into order at once when it has grown: a document costs a third of what it
-- does without. Every search goes through the list, so that it must not grow to the 4 MB of the default.
CREATE INDEX IF NOT EXISTS ix_documents_terms ON documents USING gin (chatkeep_terms(bucket, words))
WITH (gin_pending_list_limit = 1024)
--;
-- The numbers of documents and buckets.
CREATE SEQUENCE IF NOT EXISTS search_numbers
