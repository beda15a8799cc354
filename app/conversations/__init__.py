"""A chat together with its messages: created, read, replaced and changed as a whole."""
