"""Lint: finds what of a branch a provider would refuse."""

from collections.abc import Sequence
from typing import Any

from app.context.branch_reader import BranchReader
from app.context.findings import Finding


def lint(messages: Sequence[dict[str, Any]]) -> list[Finding]:
    """The findings of a branch, whose messages come in order, in that order."""
    reader = BranchReader()
    reader.read_all(reversed(messages))
    reader.end()
    return sorted(reader.findings, key=lambda finding: finding.seq)
