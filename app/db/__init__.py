"""The database: engine and session, the two dialects' connections, and the column types both share."""
