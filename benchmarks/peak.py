"""Compares the peak estimator and tracker with lmfit and habits: `python -m benchmarks.peak`.

`--seeds N --first-seed S` choose the noise. Four tables: the window estimator where its model is
true, what the model's error does on real shapes, cold starts, and whole runs. lmfit sees the same
frames; where it is slow, every so many of them.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import peak_peers as peers
from benchmarks.peak_bounds import Matched, template_bounds_nm
from benchmarks.spectra import (
    CORES,
    HC_EV_NM,
    SPECTROMETERS,
    Broadening,
    Core,
    Course,
    Spectrometer,
    boxcar,
    course,
)
from labctl.spectroscopy.peak import PeakTracker
from labctl.spectroscopy.peak_fit import Pixels
from labctl.spectroscopy.peak_local import LocalEstimator

Floats = NDArray[np.float64]

FRAMES = 120
WARM_UP = 5
LMFIT_EVERY = 8
PLATEAU = 60
LEARNING = 10


@dataclass
class Errors:
    """Errors of one estimator in nm, with what it promised and what it cost."""

    error: Floats
    sd: Floats
    us: float

    @property
    def rms(self) -> float:
        """Give the root mean square error."""
        return float(np.sqrt(np.nanmean(self.error**2)))

    def cover(self, z: float) -> float:
        """Give the part of errors inside z promised sds, in per cent."""
        return 100.0 * float(np.mean(np.abs(self.error) < z * self.sd))


def matched_frames(
    truth: Matched, seed: int, smooth: int, sigma_scale: float
) -> Iterator[tuple[float, Floats, Floats, float]]:
    """Yield true centre, absorbance, reported sigma and bound; 4 nm of redshift in all."""
    rng = np.random.default_rng(seed)
    cubic = truth.cubic()
    for peak in np.linspace(truth.core.peak_nm, truth.core.peak_nm + 4.0, FRAMES):
        clean = truth.absorbance(float(peak), cubic)
        sigma = truth.spectrometer.sigma(clean)
        # The noise alone is smoothed; what a moving mean does to a shape is no matter of sd.
        noise = boxcar(sigma * rng.standard_normal(clean.size), smooth)
        limit = truth.bound_nm(float(peak), sigma)
        yield float(peak), clean + noise, sigma * sigma_scale, limit


def window(
    truth: Matched, seed: int, smooth: int = 1, scale: float = 1.0, *, peer: bool = False
) -> tuple[Errors, Errors]:
    """Run the local estimator, and lmfit on every so many frames of the same; errors in bounds.

    Cold start and first frames are left out of both error and cost.
    """
    nm = truth.spectrometer.wavelength_nm
    energy, good = HC_EV_NM / nm, np.ones(nm.size, bool)
    ours = LocalEstimator(truth.core.peak_nm)
    theirs = peers.Lmfit(truth.core.peak_nm, truth.core.hwhm_ev, truth.core.optical_density)
    seen, seen_by_peer = [], []
    for i, (peak, y, s, limit) in enumerate(matched_frames(truth, seed, smooth, scale)):
        begin = time.process_time_ns()
        found = ours.look(Pixels(energy, y, s, good))
        if found is not None and found.converged:
            sd = ours.sd_ev(found) * HC_EV_NM / found.centre_ev**2 / limit
            ours.learn(found)
            spent = time.process_time_ns() - begin
            seen.append(((HC_EV_NM / found.centre_ev - peak) / limit, sd, spent))
        else:
            seen.append((math.nan, math.nan, math.nan))
        if peer and i % LMFIT_EVERY == 0:
            begin = time.process_time_ns()
            centre, sd = theirs.update(nm, y, s)
            spent = time.process_time_ns() - begin
            seen_by_peer.append(((centre - peak) / limit, sd / limit, spent))
    return errors_of(seen[WARM_UP:]), errors_of(seen_by_peer)


def errors_of(seen: list[tuple[float, float, float]]) -> Errors:
    """Collect errors, sds and nanoseconds."""
    if not seen:
        return Errors(np.empty(0), np.empty(0), math.nan)
    error, sd, spent = np.array(seen).T
    return Errors(error, sd, float(np.nanmean(spent)) / 1e3)


def joined(parts: list[Errors]) -> Errors:
    """Put the runs of several seeds together."""
    return Errors(
        np.concatenate([p.error for p in parts]),
        np.concatenate([p.sd for p in parts]),
        float(np.median([p.us for p in parts])),
    )


def print_window(seeds: range) -> None:
    """Print the window estimator against the bound and lmfit, then with a spoiled sigma."""
    print("Window estimator where its model is true (errors in units of the Cramér-Rao bound)")
    print(f"{'':16}{'bound nm':>9}{'mean':>7}{'RMS':>6}{'68 %':>6}{'95 %':>6}{'us':>6}"
          f" |{'lmfit RMS':>10}{'68 %':>6}{'95 %':>6}{'us':>8}{'ratio':>6}")  # fmt: skip
    for name, truth in combinations():
        both = [window(truth, s, peer=True) for s in seeds]
        o, p = joined([x for x, _ in both]), joined([x for _, x in both])
        limit = next(matched_frames(truth, 0, 1, 1.0))[3]
        print(f"{name:16}{limit:9.3f}{np.nanmean(o.error):7.2f}{o.rms:6.2f}{o.cover(1):6.0f}"
              f"{o.cover(1.96):6.0f}{o.us:6.0f} |{p.rms:10.2f}{p.cover(1):6.0f}{p.cover(1.96):6.0f}"
              f"{p.us:8.0f}{p.us / o.us:6.0f}")  # fmt: skip
    print("\nThe same behind a moving mean of 5 and 11 pixels, sigma reported half and double")
    print(f"{'':16}" + "".join(f"{m:>4} px x{f:<5g}" for m in (5, 11) for f in (0.5, 2.0)))
    for name, truth in combinations():
        cells = []
        for smooth in (5, 11):
            for scale in (0.5, 2.0):
                o = joined([window(truth, s, smooth, scale)[0] for s in seeds])
                cells.append(f"{o.cover(1):6.0f}/{o.cover(1.96):3.0f}  ")
        print(f"{name:16}" + "".join(cells))


def combinations() -> Iterator[tuple[str, Matched]]:
    """Yield every core on every spectrometer; a matched shoulder is a broad peak on a slope."""
    for core_name, core in CORES.items():
        for name, spectrometer in SPECTROMETERS.items():
            yield f"{core_name} {name}", Matched(core, spectrometer)


def print_mismatch() -> None:
    """Print what the error of the model does on clean physical spectra."""
    print("\nError of the local model on physical shapes, no noise (nm); Savitzky-Golay, argmax")
    print(f"{'':10}{'absolute':>9}{'SG2':>7}{'argmax':>8}{'10 nm':>7}{'turbid':>8}{'+10 %':>7}"
          f"{'-15 %':>7}")  # fmt: skip
    spectrometer = SPECTROMETERS["Flame"]
    nm = spectrometer.wavelength_nm
    for name, core in CORES.items():
        clean, haze = core.absorbance(nm), (500.0 / nm) ** 4
        start = local_error(core, spectrometer, clean)
        moved = replace(core, peak_nm=core.peak_nm + 10.0)
        wide = replace(core, widen=0.1)
        print(f"{name:10}{start:9.2f}"
              f"{peers.derivative(nm, clean, core.peak_nm, core.hwhm_nm) - core.peak_nm:7.2f}"
              f"{peers.argmax(nm, clean, core.peak_nm, core.hwhm_nm) - core.peak_nm:8.2f}"
              f"{local_error(moved, spectrometer, moved.absorbance(nm)) - start:7.2f}"
              f"{local_error(core, spectrometer, clean + 0.05 * haze) - start:8.3f}"
              f"{local_error(wide, spectrometer, wide.absorbance(nm)) - start:7.2f}"
              f"{local_error(core, spectrometer, 0.85 * clean) - start:7.2f}")  # fmt: skip


def local_error(core: Core, spectrometer: Spectrometer, clean: Floats) -> float:
    """Give the error of a single fit of a clean spectrum (nm)."""
    found = PeakTracker(core.peak_nm).update(
        spectrometer.wavelength_nm, clean, spectrometer.sigma(clean)
    )
    return found.peak_nm - core.peak_nm


def random_core(rng: np.random.Generator) -> Core:
    """Draw a sample between 440 and 640 nm; a quarter are shoulders without a maximum."""
    if rng.random() < 0.25:
        return Core(
            rng.uniform(440, 640), rng.uniform(0.14, 0.18), rng.uniform(0.12, 0.9),
            second=rng.uniform(0.9, 1.2), edge=rng.uniform(1, 1.8), gap=rng.uniform(1.8, 2.1),
        )  # fmt: skip
    return Core(
        rng.uniform(440, 640), rng.uniform(0.07, 0.14), rng.uniform(0.12, 0.9),
        second=rng.uniform(0.45, 0.85), edge=rng.uniform(1, 1.8), gap=rng.uniform(2.5, 3.5),
    )  # fmt: skip


def print_cold(count: int, first_seed: int) -> None:
    """Print how many single frames of random samples are not found within a fifth of hwhm."""
    failed, shoulders, errors, spent = 0, 0, [], []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng(seed)
        core = random_core(rng)
        spectrometer = SPECTROMETERS[list(SPECTROMETERS)[rng.integers(len(SPECTROMETERS))]]
        nm = spectrometer.wavelength_nm
        clean = core.absorbance(nm) + rng.uniform(0.0, 0.1) * (500.0 / nm) ** 4
        sigma = spectrometer.sigma(clean)
        y = clean + sigma * rng.standard_normal(nm.size)
        begin = time.process_time_ns()
        found = PeakTracker().update(nm, y, sigma)
        spent.append(time.process_time_ns() - begin)
        error = found.peak_nm - core.peak_nm
        failed += found.quality != "GOOD" or not abs(error) < 0.2 * core.hwhm_nm
        shoulders += core.gap < 2.2
        errors.append(error / found.absolute_sigma_nm)
    share = 100.0 * np.mean(np.abs(errors) < 2.0)
    print(f"\nCold starts: {failed} failures in {count} ({shoulders} shoulders), whole spectrum, "
          f"no prior;\n  {share:.0f} % of the centres within 2 absolute sigma; "
          f"{np.median(spent) / 1e6:.1f} ms each")  # fmt: skip


@dataclass(frozen=True)
class Tracked:
    """One run followed: figures in nm, but lost frames, µs per frame and ms of the longest."""

    jitter: float
    plateau: float
    rms: float
    cover: float
    lost: int
    us: float
    longest_ms: float = math.nan


def judged(errors: Floats, sds: Floats, lost: int, us: float, first: int) -> Tracked:
    """Judge the errors of a run; the offset of the first ten frames after `first` is taken out."""
    error = errors - np.nanmean(errors[first : first + 10])
    late = error[-PLATEAU:] if first else error[-PLATEAU // LMFIT_EVERY :]
    inside = np.abs(late - np.nanmean(late)) < sds[-late.size :]
    rms = float(np.sqrt(np.nanmean(error[first:] ** 2)))
    cover = 100.0 * float(np.mean(inside))
    return Tracked(float(np.nanstd(late)), float(np.nanmean(late)), rms, cover, lost, us)


def follow(run: Course) -> Tracked:
    """Follow a run with the tracker, cold and without a hint."""
    tracker, spent, found = PeakTracker(), [], []
    for y, s in zip(run.absorbance, run.sigma, strict=True):
        begin = time.process_time_ns()
        found.append(tracker.update(run.wavelength_nm, y, s))
        spent.append(time.process_time_ns() - begin)
    error = np.array([f.peak_nm for f in found]) - run.peak_nm
    lost = sum(f.quality != "GOOD" for f in found)
    us = float(np.mean(spent[LEARNING:])) / 1e3
    done = judged(error, np.array([f.sigma_nm for f in found]), lost, us, LEARNING)
    return replace(done, longest_ms=max(spent) / 1e6)


def follow_lmfit(run: Course, core: Core) -> Tracked:
    """Follow every so many frames of a run with lmfit, warm."""
    peer = peers.Lmfit(core.peak_nm, core.hwhm_ev, core.optical_density)
    spent, errors, sds = [], [], []
    for i in range(0, run.peak_nm.size, LMFIT_EVERY):
        begin = time.process_time_ns()
        centre, sd = peer.update(run.wavelength_nm, run.absorbance[i], run.sigma[i])
        spent.append(time.process_time_ns() - begin)
        errors.append(centre - run.peak_nm[i])
        sds.append(sd)
    array = np.array(errors)
    lost = int(np.count_nonzero(~np.isfinite(array)))
    return judged(array, np.array(sds), lost, float(np.mean(spent)) / 1e3, 0)


def print_runs(seeds: range, kinds: tuple[Broadening, ...]) -> None:
    """Print whole runs: 14 nm, 5 % broadening of a kind, dilution, turbidity walk."""
    print("\nRuns: 14 nm, 5 % broadening, dilution, turbidity walk; bound: rigid / width free")
    print(f"{'':24}{'bound nm':>15}{'jitter':>8}{'/rigid':>7}{'plateau':>9}{'worst':>7}{'RMS':>7}"
          f"{'68 %':>6}{'lost':>5}{'us':>5}{'max ms':>7}"
          " | lmfit jitter plateau   RMS      us")  # fmt: skip
    for core_name, plain in CORES.items():
        for kind in kinds:
            core = replace(plain, broadening=kind)
            for name, spectrometer in SPECTROMETERS.items():
                print(f"{core_name + ' ' + kind + ' ' + name:24}" + row(core, spectrometer, seeds))


def row(core: Core, spectrometer: Spectrometer, seeds: range) -> str:
    """Give the figures of one sample on one spectrometer."""
    runs = [course(core, spectrometer, seed) for seed in seeds]
    ours = [follow(run) for run in runs]
    peer = [follow_lmfit(run, core) for run in runs]
    final = replace(
        core, peak_nm=float(runs[0].peak_nm[-1]), widen=0.05,
        optical_density=core.optical_density * 0.85,
    )  # fmt: skip
    # The shape scales with the optical density; sigma is that of the plateau's last frame.
    rigid, wide = template_bounds_nm(final, runs[0].wavelength_nm, runs[0].sigma[-1])

    def mean(part: str, of: list[Tracked]) -> float:
        return float(np.mean([getattr(t, part) for t in of]))

    worst = max(abs(t.plateau) for t in ours)
    return (
        f"{rigid:8.4f}/{wide:.4f}{mean('jitter', ours):8.4f}{mean('jitter', ours) / rigid:7.2f}"
        f"{mean('plateau', ours):+9.3f}{worst:7.3f}{mean('rms', ours):7.3f}"
        f"{mean('cover', ours):6.0f}{sum(t.lost for t in ours):5}{mean('us', ours):5.0f}"
        f"{max(t.longest_ms for t in ours):7.0f} |"
        f"{mean('jitter', peer):14.3f}{mean('plateau', peer):+8.2f}{mean('rms', peer):6.2f}"
        f"{mean('us', peer):8.0f}"
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--cold", type=int, default=1000, help="number of cold starts")
    parser.add_argument("--all-broadenings", action="store_true", help="three kinds, not one")
    asked = parser.parse_args()
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    kinds: tuple[Broadening, ...] = ("size", "exciton", "edge")
    print_window(seeds)
    print_mismatch()
    print_cold(asked.cold, asked.first_seed)
    print_runs(seeds, kinds if asked.all_broadenings else kinds[:1])


if __name__ == "__main__":
    main()
