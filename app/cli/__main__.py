"""`python -m app.cli` is `chatkeep`."""

from app.cli import main

main()
