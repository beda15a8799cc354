"""What stands between HTTP and the domains: strict JSON, conditional requests, request ids and logs."""
