"""Who calls: API keys, service keys and the identity provider's JWTs, and what each may do."""
