# Generated from chatkeep/_async/__init__.py by client/generate_sync.py: edit that file, then run `make format`.
"""The half of the client. The sync half, `chatkeep._sync`, is generated from it by `client/generate_sync.py`."""
