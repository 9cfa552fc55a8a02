"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes" / "inp_zns_surface_initiated.yaml"
BATCH = ROOT / "recipes" / "inp_zns_surface_initiated.batch.yaml"

SHORT_STAGES = """\
stages:
  load:
  - confirm: {who: operator, list: [trap cold, N2 bubbling]}
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - backfill: {cycles: 1}
  degas:
  - ramp: {to: 60 C, rate: $ramp, within: 2 K, timeout: 30 min}
  - hold: {id: warm, for: 4 min}
  - ask: {for: is it clear, choices: {clear: go on, park: park}, default: park, after: 5 min,
          simulated: clear}
"""


@pytest.fixture(scope="session")
def recipe():
    return RECIPE


@pytest.fixture
def short(tmp_path):
    """A recipe of a quarter of an hour, with its batch sheet beside it."""
    text = RECIPE.read_text(encoding="utf-8")
    head = text[: text.index("stages:")]
    park = head.index("park: {load")
    head = head[:park] + "park: {load: 25 C, degas: 25 C}\n"
    head = head.replace("attended: [load, hf, stage2, stage3]", "attended: [load]")
    path = tmp_path / "short.yaml"
    path.write_text(head + SHORT_STAGES, encoding="utf-8")
    (tmp_path / "short.batch.yaml").write_text(BATCH.read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def start():
    """Start `labctl ARGUMENTS`; the caller waits for it."""

    def begin(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "labctl", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1", **environment},
        )

    return begin


@pytest.fixture(scope="session")
def labctl(start):
    """Run `labctl ARGUMENTS` to its end; return (exit code, stdout, stderr)."""

    def run(*arguments: object, typed: str = "", **environment: str) -> tuple[int, str, str]:
        with start(*arguments, **environment) as process:
            out, err = process.communicate(typed, timeout=100)
        return process.returncode, out, err

    return run
