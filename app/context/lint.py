"""What of a branch a provider would refuse."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.context.reading import Finding, Reading


def lint(messages: Sequence[dict[str, Any]]) -> list[Finding]:
    """The findings of a branch, whose messages come in order, in that order."""
    reading = Reading()
    reading.read_all(reversed(messages))
    reading.end()
    return in_order(reading.findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by the messages they are about."""
    return sorted(findings, key=lambda finding: finding.seq)
