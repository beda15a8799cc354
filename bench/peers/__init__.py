"""What the service is compared with: the same work as a bare FastAPI endpoint, without owners, order or idempotency.

Each is written as one would write the simple thing well, and is served exactly as the service is: one uvicorn worker
with uvloop and httptools, no access log, no telemetry.
"""
