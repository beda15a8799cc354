"""What Chatkeep costs beside a bare endpoint (`python -m bench`), a replay of real conversations, and a crash test."""
