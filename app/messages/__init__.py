"""Messages: appending them in order, and reading them back."""
