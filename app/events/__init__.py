"""The event log: what a transaction changed, recorded with it; its consumers; and pub/sub between processes."""
