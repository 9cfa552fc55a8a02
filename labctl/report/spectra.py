"""Spectra before and after each stage: absorbance and photoluminescence."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labctl.record import Curve, SpectrumStamp
from labctl.report.panels import Line, Panel
from labctl.report.story import NS, Series, Story
from labctl.report.thin import smoothed
from labctl.report.words import moment

CUVETTE = "cuvette "
TOGETHER_S = 120.0
"""Frames of one dark or reference are taken within this time of each other."""
LEAST_LIGHT = 0.02
"""Below this part of the lamp's maximum there is too little light to speak of absorbance."""
LEAST_SEEN = 0.03
"""Below this part of the highest value a spectrum shows nothing."""
MARGIN_NM = 40.0


@dataclass(frozen=True, slots=True)
class _Frames:
    """All frames of the run that are neither sample nor PL, to be looked up by their time."""

    story: Story
    stamps: Sequence[SpectrumStamp]

    def mean(self, kind: str, of: SpectrumStamp) -> array[float] | None:
        """Average the frames of a kind that were taken last before a spectrum, alike exposed."""
        kind = CUVETTE + kind if of.kind.startswith(CUVETTE) else kind
        alike = [
            stamp
            for stamp in self.stamps
            if stamp.kind == kind and stamp.source == of.source and stamp.t_ns <= of.t_ns
            and stamp.integration_s == of.integration_s
        ]  # fmt: skip
        if not alike:
            return None
        last_ns = alike[-1].t_ns
        group = [stamp for stamp in alike if last_ns - stamp.t_ns <= TOGETHER_S * NS]
        curves = [self.story.run.curve(stamp).values for stamp in group]
        return array("d", (sum(counts) / len(curves) for counts in zip(*curves, strict=True)))


def spectra(story: Story, most: int) -> list[Panel]:
    """Make the plots of spectra that this run has data for, of at most `most` points per line."""
    stamps = story.run.spectra()
    frames = _Frames(story, stamps)
    absorbed = _first(stamps, "absorbance", "sample", f"{CUVETTE}absorbance")
    emitted = _first(stamps, "pl", f"{CUVETTE}pl")
    made = [
        _panel(story, frames, absorbed, "absorbance", "Absorbance", "AU", most),
        _panel(story, frames, emitted, "luminescence", "Photoluminescence", "counts/s", most),
    ]
    return [panel for panel in made if panel.lines]


def _first(stamps: Sequence[SpectrumStamp], *kinds: str) -> list[SpectrumStamp]:
    """Give the spectra of the first kind that there are any of."""
    found = ([stamp for stamp in stamps if stamp.kind == kind] for kind in kinds)
    return next((some for some in found if some), [])


def _panel(
    story: Story,
    frames: _Frames,
    stamps: Sequence[SpectrumStamp],
    id_: str,
    title: str,
    unit: str,
    most: int,
) -> Panel:
    lines: list[Line] = []
    for label, stamp in _chosen(story, stamps):
        curve = story.run.curve(stamp)
        values = _absorbance(frames, curve) if unit == "AU" else _rate(frames, curve)
        shown = smoothed(curve.wavelengths_nm, values, most)
        if any(value is not None for value in shown.values):
            lines.append(Line(label, "measured", shown, len(lines) + 1))
    low_nm, high_nm = _seen(lines)
    lines = [replace(line, series=_cut(line.series, low_nm, high_nm)) for line in lines]
    return Panel(id_, title, unit, lines, x_unit="nm", x_range=(low_nm, high_nm))


def _chosen(story: Story, stamps: Sequence[SpectrumStamp]) -> list[tuple[str, SpectrumStamp]]:
    """Choose the last spectrum before each stage (or the first in it), and the last in it."""
    chosen: dict[int, tuple[str, SpectrumStamp]] = {}
    for stage in story.stages:
        before = [stamp for stamp in stamps if stamp.t_ns / NS < stage.start_s]
        inside = [stamp for stamp in stamps if stage.start_s <= stamp.t_ns / NS <= stage.end_s]
        if not inside:
            continue
        first = before[-1] if before else inside[0]
        chosen.setdefault(first.id, (f"{stage.name}, before", first))
        chosen[inside[-1].id] = (f"{stage.name}, after", inside[-1])
    return [(f"{label}, {moment(stamp.t_ns)}", stamp) for label, stamp in chosen.values()]


def _absorbance(frames: _Frames, curve: Curve) -> list[float | None]:
    if curve.stamp.kind == "absorbance":
        return list(curve.values)
    dark = frames.mean("dark", curve.stamp)
    reference = frames.mean("reference", curve.stamp)
    if dark is None or reference is None:
        return [None] * len(curve.values)
    lamp = [light - zero for light, zero in zip(reference, dark, strict=True)]
    least = LEAST_LIGHT * max(lamp)
    return [
        math.log10(light / (count - zero)) if light > least and count > zero else None
        for light, count, zero in zip(lamp, curve.values, dark, strict=True)
    ]


def _rate(frames: _Frames, curve: Curve) -> list[float | None]:
    exposed_s = curve.stamp.integration_s or 1.0
    dark = frames.mean("dark", curve.stamp) or array("d", bytes(8 * len(curve.values)))
    return [(count - zero) / exposed_s for count, zero in zip(curve.values, dark, strict=True)]


def _seen(lines: Sequence[Line]) -> tuple[float, float]:
    """Give the wavelengths between which there is anything to see, with a margin."""
    known = [
        (nm, value)
        for line in lines
        for nm, value in zip(line.series.t_s, line.series.values, strict=True)
        if value is not None
    ]
    least = LEAST_SEEN * max((value for _, value in known), default=0.0)
    seen = [nm for nm, value in known if value >= least]
    if not seen:
        return 0.0, 1.0
    low, high = (end(nm for nm, _ in known) for end in (min, max))
    return max(low, min(seen) - MARGIN_NM), min(high, max(seen) + MARGIN_NM)


def _cut(series: Series, low_nm: float, high_nm: float) -> Series:
    inside = [i for i, nm in enumerate(series.t_s) if low_nm <= nm <= high_nm]
    return Series([series.t_s[i] for i in inside], [series.values[i] for i in inside])
