-- The words of documents, each with the number of its document's bucket before it. The tokenizer is told to split at
-- spaces and nothing else: all that is beyond ASCII is part of a word to it, and our words have no other punctuation.
-- Nothing but which document has which word is kept (https://www.sqlite.org/fts5.html, 4.4.1 and 4.5).
CREATE VIRTUAL TABLE IF NOT EXISTS search_index USING fts5(
    terms, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '_'"
)
--;
CREATE UNIQUE INDEX IF NOT EXISTS search_documents ON documents (user_id, doc)
--;
DROP TRIGGER IF EXISTS documents_added
--;
CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN
    INSERT INTO search_index (rowid, terms)
    VALUES (new.doc, replace(rtrim(new.words), ' ', ' ' || new.bucket || '_'));
END
--;
-- A table without content must be told what it forgets.
DROP TRIGGER IF EXISTS documents_removed
--;
CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN
    INSERT INTO search_index (search_index, rowid, terms)
    VALUES ('delete', old.doc, replace(rtrim(old.words), ' ', ' ' || old.bucket || '_'));
END
--;
-- The numbers of documents and buckets: the last one given.
CREATE TABLE IF NOT EXISTS search_numbers (last INTEGER NOT NULL)
--;
INSERT INTO search_numbers (last) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM search_numbers)
