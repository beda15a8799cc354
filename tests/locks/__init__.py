"""The lock files: whether they are complete, and whether each package has a wheel wherever Chatkeep is installed."""
