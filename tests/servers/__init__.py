"""Real servers for tests and benchmarks: PostgreSQL, and Chatkeep itself as a process."""
