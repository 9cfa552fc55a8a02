"""`replay`: decide again on a run's record, or on spectra from files, and compare with a timer."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labctl.cli.options import Options, add_format, add_runs, options
from labctl.cli.replayed import lines, plain
from labctl.cli.text import Paint
from labctl.errors import ExitCode, UsageError
from labctl.record import find_run, open_run
from labctl.record.rows import RunRow
from labctl.replay import ESTIMATORS, RECORDED, Remade, Replayed, Watch, replay_run, replayed
from labctl.replay.files import watch_of_files
from labctl.units import parse

SETTINGS = {
    "delta": ("delta_nm", "wavelength", "0.5 nm", "further movement that counts as none"),
    "tau_max": ("tau_max_s", "time", "25 min", "slowest tail held possible"),
    "alpha": ("alpha", "", "0.001", "risk of a wrong `saturated`"),
    "min_shift": ("min_shift_nm", "wavelength", "1.2 nm", "less than this is no reaction"),
    "min_plateau": ("min_plateau_s", "time", "5 min", "how long it must hold without a break"),
}
"""Option -> setting of the detector, its dimension, an example, what it means."""

OF_FILES = ("every", "at", "near", "peaks")


def run(command: str, arguments: list[str]) -> int:
    """Decide again and tell what came of it.

    Raises:
        UsageError: arguments that do not fit together.
    """
    asked = _parser(command).read(arguments)
    settings = _settings(asked)
    timer_s = parse(asked.timer, "time").value
    if not timer_s > 0:
        raise UsageError(f"--timer is {asked.timer!r}; a timer takes some time")
    if bool(asked.run) == bool(asked.spectra):
        raise UsageError("replay takes a RUN, or --spectra with files; one of them")
    if asked.spectra:
        return _of_files(asked, settings, timer_s)
    return _of_run(asked, settings, timer_s)


def _of_run(asked: argparse.Namespace, settings: Mapping[str, float], timer_s: float) -> int:
    """Decide again on a record.

    Raises:
        UsageError: an option that is for files only.
    """
    for name in OF_FILES:
        if getattr(asked, name) is not None:
            raise UsageError(f"--{name} goes with --spectra; the record of a run says it itself")
    name = asked.estimator or RECORDED
    with open_run(find_run(asked.runs, asked.run)) as found:
        meta = found.meta
        made = replay_run(found, settings, estimator=name, timer_s=timer_s)
        _tell(asked, made, name, {"run": meta.id, "directory": str(found.directory)}, meta)
    return ExitCode.COMPLETE


def _of_files(asked: argparse.Namespace, settings: Mapping[str, float], timer_s: float) -> int:
    """Decide on spectra from files.

    Raises:
        UsageError: `recorded` peaks, which files have not, or values that cannot be.
    """
    name = asked.estimator or "tracker"
    if name == RECORDED:
        raise UsageError("spectra from files have no recorded peaks; choose another --estimator")
    watch = watch_of_files(
        asked.spectra,
        estimator_name=name,
        every_s=_quantity(asked.every, "time"),
        at_c=_quantity(asked.at, "temperature"),
        near_nm=_quantity(asked.near, "wavelength"),
    )
    if asked.peaks is not None:
        _write_peaks(asked.peaks, watch)
    made = [replayed(watch, settings, timer_s)]
    _tell(asked, made, name, {"files": [str(path) for path in asked.spectra]}, None)
    return ExitCode.COMPLETE


def _tell(
    asked: argparse.Namespace,
    made: Sequence[Replayed | Remade],
    estimator: str,
    source: Mapping[str, str | list[str]],
    meta: RunRow | None,
) -> None:
    if asked.format == "json":
        decisions = [plain(one) for one in made]
        said = {**source, "estimator": estimator, "decisions": decisions}
        print(json.dumps(said, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines(made, estimator, meta, Paint(sys.stdout))))


def _parser(command: str) -> Options:
    parser = options(command)
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="a run id, its beginning, `last`, or a directory"
    )
    spectra = "absorbance spectra instead of a run: CSV or JCAMP-DX"
    parser.add_argument("--spectra", nargs="+", type=Path, metavar="FILE", help=spectra)
    estimator = "what finds the peak; as recorded unless given, `tracker` for files"
    parser.add_argument("--estimator", choices=(RECORDED, *ESTIMATORS), help=estimator)
    for name, (_, _, example, means) in SETTINGS.items():
        help_ = f"{means}, e.g. '{example}'; the recipe's unless given"
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=help_)
    timer = "the timer to compare with; '10 min' unless given"
    parser.add_argument("--timer", default="10 min", metavar="TIME", help=timer)
    every = "time between spectra in the order given; what the files say unless given"
    parser.add_argument("--every", metavar="TIME", help=every)
    at = "temperature of all spectra; what the files say unless given"
    parser.add_argument("--at", metavar="TEMPERATURE", help=at)
    near = "where the peak is expected at 25 °C; anywhere unless given"
    parser.add_argument("--near", metavar="WAVELENGTH", help=near)
    peaks = "write the series of peaks as CSV"
    parser.add_argument("--peaks", type=Path, metavar="OUT.csv", help=peaks)
    add_runs(parser)
    add_format(parser)
    return parser


def _settings(asked: argparse.Namespace) -> dict[str, float]:
    """Read the settings that were given.

    Raises:
        UnitError: a quantity that cannot be read.
        UsageError: a risk that is no number.
    """
    given: dict[str, float] = {}
    for name, (setting, dimension, _, _) in SETTINGS.items():
        text = getattr(asked, name)
        if text is None:
            continue
        if dimension:
            given[setting] = parse(text, dimension).value
            continue
        try:
            given[setting] = float(text)
        except ValueError:
            raise UsageError(f"--{name} is {text!r}; a number such as 0.001 is expected") from None
    return given


def _quantity(text: str | None, dimension: str) -> float | None:
    return None if text is None else parse(text, dimension).value


def _write_peaks(path: Path, watch: Watch) -> None:
    """Write the series of peaks.

    Raises:
        UsageError: the place cannot be written.
    """
    head = ("t_s", "temperature_c", "peak_hot_nm", "peak_25c_nm", "sigma_nm", "used")
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            for frame in watch.seen:
                nm = (frame.raw_nm, frame.peak_nm, frame.sigma_nm)
                known = ["" if math.isnan(value) else f"{value:.4f}" for value in nm]
                row = (f"{frame.t_s:.3f}", f"{frame.temperature_c:g}", *known, int(frame.usable))
                writer.writerow(row)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
