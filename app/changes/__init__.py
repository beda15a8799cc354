"""The changes of a user's chats, read by pages and followed by Server-Sent Events or a WebSocket."""
