"""The database: engine, sessions and drivers of both kinds, the column types they share, and migrations."""
