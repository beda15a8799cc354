"""The commands that ask a service, or the database itself."""
