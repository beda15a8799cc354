"""The feed of changes: a user's changes read by pages, and followed by Server-Sent Events or a WebSocket."""
