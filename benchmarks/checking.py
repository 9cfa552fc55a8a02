"""How long reading and checking a 200-step recipe takes, beside PyYAML reading the same text.

`python -m benchmarks.checking` prints ours, the peer's and the ratio. The peer, `yaml.load` with
the C loader, gives dictionaries; ours gives typed steps, each value in its unit and every part with
its line and column. Times are CPU times, the best of several; what we cache is emptied each time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from labctl.recipe.load import recipe_of
from labctl.source import compose
from labctl.units import parse

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "recipes/inp_zns_surface_initiated.yaml"
TARGET_RATIO = 1.2
TARGET_CHECK_S = 0.25

_CHILD = """\
import sys, time
from labctl.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(time.process_time(), code, "numpy" in sys.modules, file=sys.stderr)
"""


def long_recipe(steps: int = 200) -> str:
    """Return the shipped recipe with a stage more, so that it has so many steps; none repeats."""
    head, _, tail = SHIPPED.read_text(encoding="utf-8").partition("finally:\n")
    missing = steps - head.count("\n  - ") - tail.count("\n- ") - 1
    return f"{head}  more:\n{''.join(_line(n) for n in range(missing))}finally:\n{tail}"


def _line(n: int) -> str:
    return (
        f"  - hold: {{id: at{n}, for: {n + 61} s, keep_above: {50 + n / 8} C, grace: {n} s}}\n",
        f"  - ramp: {{to: {60 + n / 2} C, rate: $ramp, within: {2 + n / 100} K, settle: {n} s}}\n",
        f"  - stir: {400 + n} rpm\n",
        f"  - wait_until: {{condition: flask.T >= {50 + n / 9} C, timeout: {n + 5} min}}\n",
    )[n % 4]


def best_s(work: Callable[[], object], times: int) -> float:
    """Return the least CPU time of several runs, in s."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    parse.cache_clear()
    began = time.process_time()
    work()
    return time.process_time() - began


def checked(text: str) -> tuple[float, str, bool]:
    """Run `labctl check` in a fresh process; CPU s, exit code, and whether numpy was imported."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "long.yaml"
        recipe.write_text(text, encoding="utf-8")
        sheet = SHIPPED.with_name(f"{SHIPPED.stem}.batch.yaml")
        command = [sys.executable, "-c", _CHILD, "check", str(recipe), "--batch", str(sheet)]
        ended = subprocess.run(  # noqa: S603 - our own interpreter and text
            command, capture_output=True, text=True, check=False, cwd=ROOT
        )
    cpu_s, code, numpy = ended.stderr.splitlines()[-1].split()
    return float(cpu_s), code, numpy == "True"


def main() -> None:
    """Print both figures with their targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    asked = parser.parse_args()
    text = long_recipe()
    ours = best_s(lambda: recipe_of(compose(text), {}), asked.times)
    peer = best_s(lambda: yaml.load(text, Loader=yaml.CSafeLoader), asked.times)
    runs = [checked(text) for _ in range(3)]
    cpu_s = min(run[0] for run in runs)
    print(f"{'':34}{'ours':>10}{'peer':>10}{'ratio':>8}{'target':>8}")
    read = f"{ours * 1e3:7.2f} ms{peer * 1e3:7.2f} ms{ours / peer:8.2f}{TARGET_RATIO:8.2f}"
    print(f"{'load, validate, positions':34}{read}")
    print(f"{'labctl check, whole process, CPU':34}{cpu_s * 1e3:7.0f} ms{'':10}", end="")
    print(f"{cpu_s / TARGET_CHECK_S:8.2f}{1:8.2f}   of {TARGET_CHECK_S * 1e3:.0f} ms")
    print(f"exit code {runs[0][1]}, numpy imported: {runs[0][2]}")


if __name__ == "__main__":
    main()
