"""Runs that are really killed, and go on: `python -m benchmarks.kills`.

Each case has a rig of its own, served on pseudo-terminals (`benchmarks.kills_rig`), on which a
short recipe with heat and two doses is run as a person runs it. Its process gets SIGKILL at a
random moment, or aimed at a dose; one in four is killed once more while it resumes. Judged are the
plant's truth and the record: nothing that was acknowledged is lost, no dose is more than asked, the
heater has no power 5 s later, and the run goes on to its end or is refused in a sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.kills_judge import Seen, acknowledged, broken, lost
from labctl.control.client import Client
from labctl.control.server import FILE_NAME
from labctl.errors import LabctlError
from labctl.prepare import Request
from labctl.record import open_run
from tests.labctl.hardware.conftest import fit

ROOT = Path(__file__).parents[1]
LABCTL = (sys.executable, "-m", "labctl")
RECIPE = """
labctl: recipe/1
name: kills
needs: {vessel: 50 mL, max_T: 100 C}
reagents:
  SQ: {is: squalane}
  S:  {is: TOP sulfide saturated, concentration: 2.17 mol/L}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - ramp: {to: 60 C, rate: 15 K/min, within: 37 K}
  - prime: {id: p, reagents: [S], into: waste}
  - inject: {id: s, reagent: S, volume: 0.3 mL, over: 6 s}
  - hold: {for: 3 s}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  S:  {lot: b, pump: pump_2, drawn: 1.0 mL}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""
AGREES = ("go on", "again", "given in full")
PUMP = "pump_2"
LASTS_S = 60.0
DOSE_S = 8.0
JUST_S = 0.3
BEGIN_S, END_S, GUARD_S, NO_GUARD_S = 200.0, 180.0, 30.0, 3.0
LOOK_S = 0.05


@dataclass
class Case:
    """One run to be killed: how it is aimed, and what came of it."""

    number: int
    aim: str
    seed: int
    kills: list[dict[str, object]] = field(default_factory=list)
    outcome: str = ""
    said: str = ""
    pushed_ml: float = 0.0
    asked_ml: float = 0.0
    broken: list[str] = field(default_factory=list)


class Rig:
    """A served rig in a process of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.file = folder / "rig.yaml"
        command = [sys.executable, "-m", "benchmarks.kills_rig", str(ROOT / "rigs/schlenk.yaml")]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, "--write", str(self.file), "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self._line()

    def truth(self) -> Mapping[str, float]:
        """Return what is so on the rig now."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def close(self) -> None:
        """Take it down."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=10)

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout.readline()


class Life:
    """A run that goes on, and the person before it: answers what is asked, and can kill it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.accepted = 0

    @property
    def over(self) -> bool:
        """Whether nothing goes on any more."""
        return not (self.directory / FILE_NAME).exists()

    def look(self) -> Mapping[str, object]:
        """Answer what is asked; return where the run is, empty if it does not answer."""
        try:
            with Client(self.directory) as client:
                status = client.ask("status").get("status")
                if not isinstance(status, dict):
                    return {}
                for question in status["questions"]:
                    chosen = [word for word in question["choices"] if word in AGREES]
                    text = chosen[0] if chosen else "done"
                    words = {"question": question["number"], "text": text, "by": ["YK"]}
                    self.accepted += bool(client.ask("answer", **words)["accepted"])
                return status
        except (LabctlError, KeyError, ValueError):
            return {}

    def answer_for(self, duration_s: float) -> None:
        """Answer for so long, or until it is over."""
        end_s = time.monotonic() + duration_s
        while not self.over and (left_s := end_s - time.monotonic()) > 0:
            self.look()
            time.sleep(min(LOOK_S, max(left_s, 0.0)))

    def until_step(self, step: str, within_s: float) -> None:
        """Answer until a step goes on."""
        end_s = time.monotonic() + within_s
        while not self.over and time.monotonic() < end_s:
            if self.look().get("step") == step:
                return
            time.sleep(LOOK_S)

    def until_row(self, kind: str, dose: str, within_s: float) -> None:
        """Wait until an intent of a dose is on the disk."""
        end_s = time.monotonic() + within_s
        sql = "SELECT count(*) FROM intent WHERE kind = ? AND json_extract(data, '$.id') LIKE ?"
        with contextlib.closing(sqlite3.connect(self.directory / "run.sqlite")) as record:
            while time.monotonic() < end_s and not self.over:
                if record.execute(sql, (kind, f"{dose}%")).fetchone()[0]:
                    return
                time.sleep(0.002)

    def kill(self) -> tuple[float, Seen]:
        """Kill its process; return when, and what the record had acknowledged just before."""
        pid = json.loads((self.directory / FILE_NAME).read_text())["pid"]
        try:
            seen = acknowledged(self.directory, self.accepted)
        except sqlite3.OperationalError:  # it has no tables yet
            seen = Seen({}, self.accepted, "")
        os.kill(pid, signal.SIGKILL)
        return time.time(), seen

    def cut(self) -> Mapping[str, object] | None:
        """Wait for the guard's last word; return how it cut, None if there was none yet."""
        end_s = time.monotonic() + GUARD_S
        file = self.directory / "guard.jsonl"
        time.sleep(0.0 if file.exists() else NO_GUARD_S)
        if not file.exists():
            return None
        while time.monotonic() < end_s:
            rows = [json.loads(line) for line in file.read_text().splitlines() if line[-1:] == "}"]
            if rows and rows[-1]["what"] in {"over", "done"}:
                return next((row for row in reversed(rows) if row["what"] == "cut"), None)
            time.sleep(LOOK_S)
        return None


def _start(folder: Path, rig: Rig) -> Path:
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "s.yaml").write_text(SHEET)
    fit(folder / "runs", Request(folder / "r.yaml", rig.file, folder / "s.yaml"))
    command = (*LABCTL, "run", "r.yaml", "--rig", str(rig.file), "--batch", "s.yaml", "--yes")
    options = ("--operator", "YK", "--detach", "--format", "json", "--runs", "runs")
    said = _said([*command, *options], folder)
    if said.returncode:
        raise RuntimeError(said.stderr + said.stdout)
    return folder / str(json.loads(said.stdout)["directory"])


def _resume(directory: Path) -> str:
    """Have labctl go on with a run; return why it refuses, or nothing."""
    command = [*LABCTL, "resume", str(directory), "--operator", "YK", "--detach"]
    said = _said(command, directory)
    return said.stderr.strip() or "no reason" if said.returncode else ""


def _said(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - ourselves
        command, cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def _aim(life: Life, case: Case, rng: random.Random) -> None:
    """Wait for the moment."""
    if case.aim == "anywhere":
        life.answer_for(rng.uniform(0.0, LASTS_S))
        return
    dose, way = rng.choice("pss"), rng.choice(("any", "any", "dose", "dose.starting"))
    life.until_step(dose, BEGIN_S)
    if way == "any":
        life.answer_for(rng.uniform(0.0, DOSE_S))
    else:
        life.until_row(way, dose, DOSE_S)
        time.sleep(rng.choice((0.0, rng.uniform(0.0, JUST_S))))


def _killed(life: Life, rig: Rig, case: Case) -> bool:
    """Kill a run and judge what is left; say whether it was there to be killed."""
    powered = rig.truth()["heater_w"] > 0
    try:
        struck_s, seen = life.kill()
    except OSError:
        return False
    cut = life.cut()
    truth = rig.truth()
    off_s = max(0.0, truth["heated_utc_s"] - struck_s)
    cut_s = float(str(cut["utc_s"])) - struck_s if cut else None
    where = {"step": seen.step, "powered": powered}
    case.kills.append({**where, "heater_off_s": off_s, "guard_cut_s": cut_s})
    case.broken += lost(life.directory, seen, struck_s, truth[f"{PUMP}.pushed_ml"])
    if off_s > 5.0 or truth["heater_w"] > 0:
        case.broken.append(f"the heater had power {off_s:.1f} s after the kill")
    return True


def lived(case: Case) -> Case:
    """Run, kill, resume and judge one case."""
    rng = random.Random(f"{case.aim}/{case.seed}")  # noqa: S311 - a draw, no secret
    with tempfile.TemporaryDirectory(prefix="kills") as name:
        folder = Path(name)
        rig = Rig(folder, case.seed)
        try:
            life = Life(_start(folder, rig))
            _aim(life, case, rng)
            if not _killed(life, rig, case):
                case.said = f"over before the kill: {_ended(life.directory)}"
                return case
            case.said = _resume(life.directory)
            if not case.said and rng.random() < 1 / 4:
                life.answer_for(rng.uniform(0.0, LASTS_S / 2))
                if _killed(life, rig, case):
                    case.said = _resume(life.directory)
            if not case.said:
                life.answer_for(END_S)
            broken(case, life.directory, rig.truth(), PUMP)
        except (AssertionError, RuntimeError, LabctlError, sqlite3.Error, OSError) as error:
            case.broken.append(f"{type(error).__name__}: {error}")
        finally:
            rig.close()
    return case


def _ended(directory: Path) -> str:
    with open_run(directory) as run:
        why = [event.message for event in run.events if event.code == "aborting"]
        return f"{run.meta.outcome} {' '.join(why)}"


def cases(anywhere: int, doses: int, seed: int) -> Iterator[Case]:
    """Yield the cases, the two kinds in turn."""
    kinds = ["anywhere"] * anywhere + ["dose"] * doses
    random.Random(seed).shuffle(kinds)  # noqa: S311 - a draw, no secret
    for number, kind in enumerate(kinds):
        yield Case(number, kind, seed * 1000 + number)


def told(found: Sequence[Case]) -> str:
    """Return the table of what was found."""
    lines = ["aim       runs  kills  lost or broken  heated  off within  outcomes"]
    for aim in ("anywhere", "dose"):
        some = [case for case in found if case.aim == aim]
        kills = [kill for case in some for kill in case.kills]
        heated = sum(bool(kill["powered"]) for kill in kills)
        off_s = max((float(str(kill["heater_off_s"])) for kill in kills), default=0.0)
        outcomes = Counter("refused" if case.said else case.outcome for case in some)
        ends = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        bad = sum(bool(case.broken) for case in some)
        row = f"{aim:9} {len(some):4}  {len(kills):5}  {bad:14}  {heated:6}  {off_s:8.2f} s  {ends}"
        lines.append(row)
    return "\n".join(lines)


def main() -> int:
    """Kill them all; print each that broke something, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anywhere", type=int, default=50)
    parser.add_argument("--doses", type=int, default=50)
    parser.add_argument("--side-by-side", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="+", help="the cases of these numbers")
    parser.add_argument("--output", type=Path, default=Path("kills.jsonl"), help="one line a run")
    asked = parser.parse_args()
    found = []
    with ThreadPoolExecutor(asked.side_by_side) as pool, asked.output.open("w") as output:
        drawn = cases(asked.anywhere, asked.doses, asked.seed)
        wanted = [case for case in drawn if not asked.only or case.number in asked.only]
        going = [pool.submit(lived, case) for case in wanted]
        try:
            for done in as_completed(going):
                case = done.result()
                found.append(case)
                output.write(json.dumps(asdict(case)) + "\n")
                output.flush()
                if case.broken:
                    print(f"#{case.number} ({case.aim}): {'; '.join(case.broken)}", flush=True)
        except KeyboardInterrupt:  # those that go on come to their end, no other begins
            pool.shutdown(wait=True, cancel_futures=True)
    print(told(found))
    return any(case.broken for case in found)


if __name__ == "__main__":
    sys.exit(main())
