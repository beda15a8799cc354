"""Items of each codec: a module of its name has `ITEMS`, a strategy, and `EXAMPLES`, as its API writes them."""
