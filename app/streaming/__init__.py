"""Messages in progress (the API says answers): their text comes in chunks, is made durable, and streamed to readers."""
