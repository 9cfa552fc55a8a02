"""What a run that was cut off had besides its steps and doses, read from its record.

Signatures, the trap's level, what was drawn off, where a person had the valves, and the lamp's
reference, which cannot be taken again once dots are in the flask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labctl.engine.deciding import Level
from labctl.engine.optics import REFERENCE_FRAMES, Floats, Lamp
from labctl.record import Run, SpectrumStamp

SIGNED, DRAWN = "signed", "drawn"
TRAP_COLD, TRAP_WARM = "trap_cold", "trap_warm"


@dataclass(frozen=True, slots=True)
class Kept:
    """`signed` are names by reagent, `drawn` (ns, mL) in order, `valves` as last turned.

    `levels` are baselines by name, with when they were measured.
    """

    signed: Mapping[str, frozenset[str]]
    trap_cold_ns: int | None
    drawn: Sequence[tuple[int, float]]
    valves: Mapping[str, bool]
    levels: Mapping[str, tuple[int, Level]]
    lamp: Lamp | None


NOTHING = Kept({}, None, (), {}, {}, None)


def kept_of(run: Run) -> Kept:
    """Read what a run had.

    Raises:
        RecordError: the record is damaged.
    """
    signed: dict[str, frozenset[str]] = {}
    drawn: list[tuple[int, float]] = []
    valves: dict[str, bool] = {}
    levels: dict[str, tuple[int, Level]] = {}
    trap_cold_ns = None
    for event in run.events:
        data = event.data if isinstance(event.data, Mapping) else {}
        if event.code == SIGNED:
            subject, names = str(data.get("subject")), str(data.get("names"))
            signed[subject] = signed.get(subject, frozenset()) | frozenset(names.split(", "))
        elif event.code in {TRAP_COLD, TRAP_WARM}:
            trap_cold_ns = event.t_ns if event.code == TRAP_COLD else None
        elif event.code == DRAWN:
            volume_ml = _number(data, "volume_ml")
            drawn.append((event.t_ns, volume_ml if math.isfinite(volume_ml) else 0.0))
        elif event.code == "baseline":
            fields = ("peak_nm", "sigma_nm", "band_nm", "area", "temperature_c")
            level = Level(*(_number(data, name) for name in fields))
            levels[event.message.partition(":")[0]] = event.t_ns, level
        elif event.code == "valve":
            name, _, stands = event.message.rpartition(" ")
            valves[name] = stands == "open"
    return Kept(signed, trap_cold_ns, drawn, valves, levels, _lamp(run))


def _number(data: Mapping[str, object], name: str) -> float:
    value = data.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _lamp(run: Run) -> Lamp | None:
    """Return the last reference with its dark; None where it was not taken, or not to its end."""
    references = run.spectra("reference")
    if not references:
        return None
    last = references[-1]
    lit = _alike(references, last)[-REFERENCE_FRAMES:]
    dark = [frame for frame in _alike(run.spectra("dark"), last) if frame.t_ns >= last.t_ns]
    dark = dark[:REFERENCE_FRAMES]
    if min(len(lit), len(dark)) < REFERENCE_FRAMES or last.integration_s is None:
        return None
    means = [_mean(run, frames) for frames in (lit, dark)]
    return Lamp(last.source, last.t_ns, last.integration_s, *means)


def _alike(frames: Sequence[SpectrumStamp], like: SpectrumStamp) -> list[SpectrumStamp]:
    key = (like.source, like.integration_s)
    return [frame for frame in frames if (frame.source, frame.integration_s) == key]


def _mean(run: Run, frames: Sequence[SpectrumStamp]) -> Floats:
    # Summed in order, as the run did, so that the same frames give the same bits.
    total = np.zeros(1)
    for frame in frames:
        total = total + np.asarray(run.curve(frame).values, dtype=np.float64)
    return total / len(frames)
