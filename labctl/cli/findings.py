"""Findings for a person: the sentence, the line it points at with a caret, and how many."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from labctl.cli.text import WIDTH, Paint
from labctl.errors import Finding, Severity
from labctl.source import MAX_BYTES

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_BEFORE = 40


def listed(findings: Sequence[Finding], stream: TextIO = sys.stderr) -> str:
    """Return all findings as text, in the order of file and line, with a line that counts them."""
    paint = Paint(stream)
    sources: dict[str, list[str]] = {}
    ordered = sorted(findings, key=lambda f: (f.file, f.line, f.column))
    return "\n".join([*(_one(finding, sources, paint) for finding in ordered), counted(findings)])


def counted(findings: Sequence[Finding]) -> str:
    """Say how many findings of each severity there are.

    >>> counted([])
    'nothing to complain about'
    """
    counts = Counter(finding.severity for finding in findings)
    parts = [
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in Severity
        if counts[severity]
    ]
    return ", ".join(parts) or "nothing to complain about"


def _one(finding: Finding, sources: dict[str, list[str]], paint: Paint) -> str:
    place = f"{finding.file}:{finding.line}:{finding.column}:"
    colour = _COLOURS[finding.severity]
    said = f"{paint(finding.severity, 'bold', colour)}: {finding.message}"
    first = f"{paint(place, 'bold')} {said} {paint(f'[{finding.rule}]', 'dim')}"
    if finding.file not in sources:
        sources[finding.file] = _lines(finding.file)
    lines = sources[finding.file]
    if not 0 < finding.line <= len(lines) or not lines[finding.line - 1].strip():
        return first
    line, at = _window(lines[finding.line - 1], finding.column - 1)
    return f"{first}\n  {line}\n  {' ' * at}{paint('^', 'bold', colour)}"


def _window(line: str, at: int) -> tuple[str, int]:
    """Cut a long line so that the place stays in sight; return it and where the place is."""
    line = line.replace("\t", " ")
    start = max(0, at - _BEFORE) if len(line) > WIDTH - 4 else 0
    left = "…" if start else ""
    piece = line[start : start + WIDTH - 6]
    right = "…" if start + len(piece) < len(line) else ""
    return f"{left}{piece}{right}", at - start + len(left)


def _lines(file: str) -> list[str]:
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_BYTES else ""
    except (OSError, ValueError):
        return []
    return [line if line.replace("\t", " ").isprintable() else "" for line in text.splitlines()]
