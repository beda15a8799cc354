"""The async half of the client. The sync half, `chatkeep._sync`, is generated from it by `client/generate_sync.py`."""
