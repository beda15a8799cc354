"""Messages: appending, reading back, changing, and the writer."""
