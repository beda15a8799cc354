"""What no client should send, on every route: refused with a 4xx, and nothing of it stored."""
