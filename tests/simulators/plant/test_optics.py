"""The optics against Beer and Lambert, noise theory and the truth they were given."""

from dataclasses import replace

import numpy as np
import pytest

from simulators.plant.optics import Detector, Optics, OpticsModel, OpticsState

NM = np.linspace(350.0, 1000.0, 2068)
FLAME = Detector(NM, integration_s=0.1, averages=10)
IDEAL = OpticsModel(stray=0.0, drift_per_h=0.0, warm_up_loss=0.0, wavelength_offset_nm=0.0)
CORES = OpticsState(
    nc_nmol=220,
    diameter_nm=3.3,
    peak_nm=580.0,
    volume_ml=10.0,
    path_mm=1.0,
    lamp_on_s=3600.0,
    shutter_open=True,
)
SMALL = replace(CORES, diameter_nm=2.4, peak_nm=470.0, volume_ml=5.0)
SOLVENT = replace(CORES, nc_nmol=0.0)
GLOW = replace(CORES, shutter_open=False, laser_mw=10.0, qy=0.5)


def rng(seed=1):
    return np.random.default_rng(seed)


def measured_absorbance(optics, state, t_s=0.0, detector=FLAME):
    sample, reference = (optics.light("absorbance", detector, s, t_s) for s in (state, SOLVENT))
    return -np.log10(sample / reference)


def at(wavelength_nm):
    return int(np.searchsorted(NM, wavelength_nm))


def centre_by_scan(absorbance, near_nm):
    """Least squares of a Gaussian on a cubic at every centre and width of a grid; no gradient."""
    inside = np.abs(NM - near_nm) < 40
    x = (NM[inside] - near_nm) / 40
    y = absorbance[inside]
    energy = 1239.842 / NM[inside]
    cubic = np.vander(x, 4)
    best = (np.inf, 0.0)
    for centre in np.arange(near_nm - 4, near_nm + 4, 0.1):
        for half_ev in np.arange(0.06, 0.16, 0.005):
            shape = np.exp(-np.log(2) * ((energy - 1239.842 / centre) / half_ev) ** 2)
            basis = np.column_stack((shape, cubic))
            q, _ = np.linalg.qr(basis)
            residual = float(np.sum((y - q @ (q.T @ y)) ** 2))
            best = min(best, (residual, float(centre)))
    return best[1]


@pytest.mark.parametrize(("state", "per_mm"), [(CORES, 4.02e5 * 22e-7), (SMALL, 1.55e5 * 44e-7)])
def test_beer_and_lambert_at_413_nm(state, per_mm):
    optics = Optics(IDEAL)
    got = np.interp(413.3, NM, measured_absorbance(optics, state))
    assert got == pytest.approx(per_mm, rel=0.006)
    assert optics.truth(state)["absorbance_413"] == pytest.approx(got, rel=1e-4)


def test_absorbance_is_linear_in_path_and_concentration():
    optics = Optics(IDEAL)
    single = measured_absorbance(optics, CORES)
    assert measured_absorbance(optics, replace(CORES, path_mm=2.0)) == pytest.approx(2 * single)
    diluted = measured_absorbance(optics, replace(CORES, volume_ml=20.0))
    assert diluted == pytest.approx(single / 2)


@pytest.mark.parametrize(("state", "blue_nm"), [(CORES, 1.3), (SMALL, 4.4)])
def test_the_exciton_is_a_maximum_a_little_blue_of_its_centre(state, blue_nm):
    absorbance = Optics(IDEAL).absorbance(NM, state)
    inner = absorbance[1:-1]
    peaks = np.flatnonzero((inner > absorbance[:-2]) & (inner > absorbance[2:])) + 1
    assert len(peaks) == 1
    assert state.peak_nm - NM[peaks[0]] == pytest.approx(blue_nm, abs=0.5)
    assert absorbance[at(state.peak_nm)] / absorbance[at(413.3)] == pytest.approx(0.38, abs=0.04)


def test_stray_light_bends_strong_absorbance_down():
    thick = replace(CORES, path_mm=5.0)
    clean, stray = (
        measured_absorbance(Optics(m), thick)[at(420)] for m in (IDEAL, replace(IDEAL, stray=1e-3))
    )
    assert clean > 3
    assert stray < clean - 0.3
    weak = measured_absorbance(Optics(replace(IDEAL, stray=1e-3)), CORES)[at(580)]
    assert weak == pytest.approx(measured_absorbance(Optics(IDEAL), CORES)[at(580)], abs=2e-3)


@pytest.mark.parametrize("averages", [1, 25])
def test_noise_is_shot_and_read_noise_of_the_average(averages):
    optics = Optics(IDEAL)
    detector = replace(FLAME, wavelengths_nm=NM[::10].copy(), averages=averages)
    source = rng()
    frames = np.array(
        [optics.counts("absorbance", detector, CORES, source, 0.0) for _ in range(400)]
    )
    signal = optics.light("absorbance", detector, CORES, 0.0)
    electrons = signal * 160_000 / 65535
    theory = np.sqrt((electrons * (65535 / 160_000) ** 2 + 36) / averages + 1 / 12)
    assert np.mean(frames.std(axis=0) / theory) == pytest.approx(1.0, abs=0.01)
    assert frames.mean(axis=0) - 500 == pytest.approx(signal, abs=5 * theory.max() / 20)


def test_too_long_an_integration_is_a_flat_top():
    frame = Optics().counts("absorbance", replace(FLAME, integration_s=1.0), SOLVENT, rng(), 0.0)
    assert frame.max() == 65535
    assert np.count_nonzero(frame == 65535) > 500


@pytest.mark.parametrize(
    "dark", [replace(CORES, shutter_open=False), replace(CORES, lamp_on_s=None)]
)
def test_without_lamp_light_the_frame_is_dark(dark):
    frame = Optics().counts("absorbance", FLAME, dark, rng(), 0.0)
    assert frame.mean() == pytest.approx(500, abs=0.2)
    assert frame.std() == pytest.approx(np.sqrt(36 / 10 + 1 / 12), rel=0.06)


def test_counts_are_whole_and_repeat_with_the_seed():
    optics = Optics()
    first, again, other = (
        optics.counts("absorbance", FLAME, CORES, rng(seed), 60.0) for seed in (3, 3, 4)
    )
    assert first.dtype == np.int64
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("state", [CORES, SMALL, replace(SMALL, peak_nm=484.4)])
def test_a_plain_fit_of_a_measured_frame_finds_the_true_peak(state):
    optics, source = Optics(), rng(7)
    patient = replace(FLAME, averages=200)
    dark, reference, sample = (
        optics.counts("absorbance", patient, s, source, 0.0)
        for s in (replace(CORES, shutter_open=False), SOLVENT, state)
    )
    absorbance = -np.log10((sample - dark) / (reference - dark))
    assert centre_by_scan(absorbance, state.peak_nm) == pytest.approx(state.peak_nm, abs=1.0)


def test_a_shift_of_the_peak_moves_the_flank_the_same_way():
    optics = Optics(IDEAL)
    before, after = (
        optics.absorbance(NM, replace(CORES, peak_nm=peak_nm)) for peak_nm in (580.0, 581.0)
    )
    flank = slice(at(590), at(620))
    moved = np.interp(NM[flank] - 1.0, NM, before)
    assert after[flank] == pytest.approx(moved, abs=2e-3)
    assert np.all(after[flank] > before[flank])


def test_wavelength_offset_and_drift_with_the_bench_temperature():
    optics = Optics(replace(IDEAL, wavelength_offset_nm=0.5))
    assert optics.truth(CORES)["reported_peak_nm"] == pytest.approx(579.5)
    warm = replace(CORES, spectrometer_c=30.0)
    assert optics.truth(warm)["reported_peak_nm"] == pytest.approx(579.4)
    flank = slice(at(590), at(620))
    shifted = optics.absorbance(NM, CORES)[flank]
    straight = Optics(IDEAL).absorbance(NM, CORES)
    assert shifted == pytest.approx(np.interp(NM[flank] + 0.5, NM, straight), abs=1e-3)


def test_haze_scatters_with_the_fourth_power_and_bubbles_with_none():
    optics = Optics(IDEAL)
    hazy = optics.absorbance(NM, replace(SOLVENT, zinc_fluoride_mmol=0.05))
    assert hazy[at(400)] / hazy[at(800)] == pytest.approx(16.0, rel=0.01)
    assert hazy[at(500)] == pytest.approx(2.0 * 0.05 / 10.0, rel=0.01)
    assert optics.absorbance(NM, replace(SOLVENT, bubbles_au=0.02)) == pytest.approx(0.02)


def test_the_lamp_warms_up_and_drifts_more_in_the_blue():
    optics = Optics(replace(OpticsModel(), stray=0.0))
    cold, warm = (
        optics.light("absorbance", FLAME, replace(SOLVENT, lamp_on_s=s), 0.0) for s in (0.0, 3600.0)
    )
    assert cold / warm == pytest.approx(0.94, abs=1e-3)
    later = optics.light("absorbance", FLAME, SOLVENT, 3600.0)
    assert later[at(600)] / warm[at(600)] == pytest.approx(1.004, abs=1e-5)
    assert later[at(400)] / warm[at(400)] == pytest.approx(1.006, abs=1e-5)


def test_emission_area_is_proportional_to_yield_power_and_time():
    optics = Optics(replace(IDEAL, leak_rate=0.0))
    step_nm = NM[1] - NM[0]

    def area(state, detector=FLAME):
        return float(optics.light("pl", detector, state, 0.0).sum() * step_nm)

    base = area(GLOW)
    truth = optics.truth(GLOW)
    expected = 3e6 * 0.1 * 10.0 * 0.5 * truth["absorbed_405"] * truth["quench"]
    assert base == pytest.approx(expected, rel=1e-3)
    assert area(replace(GLOW, qy=0.97)) == pytest.approx(base * 0.97 / 0.5)
    assert area(replace(GLOW, laser_mw=5.0)) == pytest.approx(base / 2)
    assert area(GLOW, replace(FLAME, integration_s=0.2)) == pytest.approx(2 * base)
    assert area(replace(GLOW, qy=0.0)) == 0.0


def test_absorbed_laser_follows_the_absorbance_at_405():
    optics = Optics(IDEAL)
    absorbance = float(np.interp(405.0, NM, optics.absorbance(NM, CORES)))
    assert optics.truth(CORES)["absorbed_405"] == pytest.approx(1 - 10**-absorbance, rel=1e-4)


def test_emission_is_red_of_the_exciton_by_a_tenth_of_an_electronvolt():
    optics = Optics(replace(IDEAL, leak_rate=0.0))
    light = optics.light("pl", FLAME, GLOW, 0.0)
    energy = 1239.842 / NM
    per_ev = light * NM**2
    mean_ev = float((energy * per_ev / NM**2).sum() / (per_ev / NM**2).sum())
    assert mean_ev == pytest.approx(1239.842 / 580.0 - 0.10, abs=1e-3)
    assert 1239.842 / optics.truth(GLOW)["emission_nm"] == pytest.approx(mean_ev, abs=1e-3)


def test_half_of_the_emission_is_lost_at_200():
    assert Optics().quench(200.0) == pytest.approx(0.5, abs=0.005)
    assert Optics().quench(25.0) > 0.93


def test_laser_light_sits_in_the_absorbance_at_405_nm_only():
    optics = Optics()
    lit = optics.light("absorbance", FLAME, replace(CORES, laser_mw=10.0), 0.0)
    without = optics.light("absorbance", FLAME, CORES, 0.0)
    extra = lit - without
    assert abs(NM[int(np.argmax(extra))] - 405.0) < 0.6
    assert extra.max() == pytest.approx(1.5e4 * 10 * 0.1, rel=0.05)
    assert extra[at(415) :].max() < 1e-6


def test_an_open_shutter_blinds_the_emission_probe():
    optics = Optics()
    blind = optics.counts("pl", FLAME, replace(GLOW, shutter_open=True), rng(), 0.0)
    clear = optics.counts("pl", FLAME, GLOW, rng(), 0.0)
    assert np.count_nonzero(blind == 65535) > 500
    assert 2000 < clear.max() < 65535


def test_boxcar_smooths_and_smears_a_hot_pixel():
    dark = replace(CORES, shutter_open=False)
    hot = replace(FLAME, hot_pixels=((1000, 2e3),))
    plain = Optics().counts("absorbance", hot, dark, rng(), 0.0)
    smooth = Optics().counts("absorbance", replace(hot, boxcar=10), dark, rng(), 0.0)
    assert plain[1000] - 500 == pytest.approx(200, abs=10)
    assert np.count_nonzero(smooth > 506) == 21
    assert smooth[1000] - 500 == pytest.approx(200 / 21, abs=3)
    assert smooth[:900].std() < plain[:900].std() / 2
    assert smooth.size == plain.size


def test_two_detectors_do_not_share_an_axis():
    optics = Optics(IDEAL)
    coarse = replace(FLAME, wavelengths_nm=NM[::4].copy())
    fine = optics.light("absorbance", FLAME, CORES, 0.0)
    assert optics.light("absorbance", coarse, CORES, 0.0) == pytest.approx(fine[::4], rel=1e-4)
