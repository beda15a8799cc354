"""What happens while somebody looks: the feed of changes, followed by HTTP and WebSocket, and answers as they grow."""
