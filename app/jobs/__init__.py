"""Background jobs: what the service does periodically, beside the requests."""
