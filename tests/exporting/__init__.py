"""Exports by HTTP and of a running service, and the reader of snapshots."""
