"""Messages in progress: their text arrives in chunks, is made durable, and is streamed to whoever reads."""
