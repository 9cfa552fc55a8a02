"""The light on the sample, from the bytes on the wires and from the spectra in the record."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from labctl.record import open_run

NS = 10**9
HEAD = """
labctl: recipe/1
name: light
needs: {vessel: 50 mL, max_T: 250 C, in_loop: [absorbance, pl]}
reagents:
  SQ: {is: squalane}
  NC: {is: InP-OA 3.3 nm in toluene, concentration: from batch}
track:
  peak: {from: absorbance, every: 10 s, start_near: 580 nm, report_at: 25 C}
  pl:   {from: pl, every: 30 s, as: area per absorbed photon}
park: {work: 25 C}
stages:
  work:
  - charge: {reagent: SQ, volume: 10 mL, by: hand}
  - stir: 600 rpm
  - reference: {of: absorbance, in: flask}
  - charge: {reagent: NC, amount: 220 nmol, by: hand}
"""
SHEET = """
labctl: batch/1
sample: T-1
operator: YK
second: MT
vessel: flask50
loads:
  SQ: {lot: a, by: hand}
  NC: {lot: b, by: hand, concentration: 44 uM}
accept: {thermal.air_exposure: {reason: nothing in it minds air, by: MT, date: 2025-11-03}}
"""
BASELINE = "  - baseline: {of: [peak, pl], as: before, for: 5 min}\n"
SHUTTER_UNIT, SHUTTER_COIL = 11, 2
HDX_SPECTRUM = struct.pack("<I", 0x00101000)
QEPRO_SPECTRUM = struct.pack("<I", 0x00100928)


def spectra(run, kind):
    with open_run(run.directory) as record:
        curves = [record.curve(stamp) for stamp in record.spectra(kind)]
    return [(np.array(c.wavelengths_nm), np.array(c.values, float)) for c in curves]


def acts(run):
    """What the wires say of light, in order: (what, value) of shutter, laser and exposures."""
    for _, port, way, data in run.trace:
        if way != ">":
            continue
        if port == "bus" and data[:2] == bytes((SHUTTER_UNIT, 5)) and data[3] == SHUTTER_COIL:
            yield "shutter closed", data[4] == 0xFF
        elif port == "obis" and b"SOUR:AM:STAT O" in data:
            yield "laser on", b"ON" in data.upper().split(b"STAT")[1]
        elif port == "hdx" and data[8:12] == HDX_SPECTRUM:
            yield "frame", "absorbance"
        elif port == "qepro" and data[8:12] == QEPRO_SPECTRUM:
            yield "frame", "pl"


@pytest.fixture
def lit(conducted):
    return conducted(BASELINE, head=HEAD, sheet=SHEET)


def test_on_the_wires_lamp_and_laser_take_turns(lit):
    state = {"shutter closed": False, "laser on": False}
    frames = []
    for what, value in acts(lit):
        if what == "frame":
            frames.append((value, state["shutter closed"], state["laser on"]))
        else:
            state[what] = value
    pl = [row for row in frames if row[0] == "pl"]
    lamp = [row for row in frames if row[0] == "absorbance" and not row[1]]
    assert sum(laser for _, _, laser in pl) >= 8
    assert all(closed for _, closed, _ in pl), "no PL frame, dark or lit, with the lamp open"
    assert len(lamp) >= 25
    assert not any(laser for which, _, laser in frames if which == "absorbance")
    assert not state["laser on"]


def test_in_the_record_no_frame_shows_the_others_light(lit):
    for nm, counts in spectra(lit, "sample"):
        line = np.abs(nm - 405.0) < 1.5
        beside = (np.abs(nm - 405.0) > 4.0) & (np.abs(nm - 405.0) < 10.0)
        assert counts[line].max() < np.median(counts[beside]) + 12.0 * counts[beside].std()
    glows = spectra(lit, "pl")
    assert len(glows) >= 8
    for nm, counts in glows:
        assert counts[np.abs(nm - 405.0) < 1.5].max() > 40 + np.median(counts), "the laser leaks"
        assert np.ptp(counts[nm > 800.0]) < 100.0, "a lamp would be thousands there"


def test_each_pl_frame_has_peak_width_and_area(lit):
    for channel, low, high in (("pl.area", 0.0, 1e9), ("pl.peak", 590.0, 640.0),
                               ("pl.width", 30.0, 70.0)):  # fmt: skip
        values = lit.series[channel][1][3:]  # the first find the exposure
        assert len(values) >= 8
        assert all(value is not None and low < value < high for value in values), channel


def test_a_baseline_notes_temperature_band_and_absorbance_per_cm(lit):
    (event,) = [e for e in lit.events if e.code == "baseline"]
    assert event.data["temperature_c"] == pytest.approx(22.0, abs=3.0)
    assert event.data["band_nm"] < 0.2
    assert event.data["area"] > 0
    # 220 nmol of 3.3 nm cores in 15 mL over 10 mm; the probe's own 2 mm see a fifth.
    assert 1.0 < event.data["absorbance_1cm_au"] < 4.0


def test_bands_are_recorded_beside_peaks(lit):
    bands, peaks = lit.series["peak.band"], lit.series["peak.25C"]
    assert bands[0] == peaks[0]
    assert all(band is not None and 0.0 <= band < 0.5 for band in bands[1])


def test_ramps_before_any_reagent_teach_the_coefficient_in_a_run(conducted):
    warm = "  - ramp: {to: 90 C, rate: 5 K/min, within: 2 K, settle: 5 min}\n" + BASELINE
    run = conducted(warm, head=HEAD, sheet=SHEET)
    (event,) = [e for e in run.events if e.code == "track.coefficient"]
    assert event.data["source"] == "learnt"
    assert abs(event.data["scale"] - 1.0) < 3 * event.data["sigma"]


def test_a_silent_spectrometer_loses_the_track_and_finds_it_again(conducted):
    kept = {}

    def dead(world, inbox, rig):
        device = world.device("uvvis")
        kept["feed"], device.feed = device.feed, lambda data, t_ns: []

    def alive(world, inbox, rig):
        world.device("uvvis").feed = kept["feed"]

    long = BASELINE.replace("5 min", "30 min")
    run = conducted(long, head=HEAD, sheet=SHEET, during={600: dead, 900: alive})
    told = [c for c in run.codes() if c in {"track.silent", "track.lost", "track.found"}]
    assert told == ["track.silent", "track.lost", "track.found"]
    assert run.outcome == "complete"


def anchored(conducted, label, then=""):
    steps = (
        "  - ramp: {to: 90 C, rate: 10 K/min, within: 2 K, settle: 3 min}\n"
        f"  - aliquot: {{volume: 50 uL, by: hand, label: {label}, into: 3 mL toluene}}\n"
    )
    return conducted(steps + then + BASELINE, head=HEAD, sheet=SHEET)


def test_a_cuvette_spectrum_of_an_anchor_ties_the_scale_to_the_truth(conducted):
    run = anchored(conducted, "anchor_1")
    (event,) = [e for e in run.events if e.code == "track.anchored"]
    (base,) = [e for e in run.events if e.code == "baseline"]
    assert event.data["sigma_nm"] < 0.4
    assert base.data["peak_nm"] == pytest.approx(event.data["cuvette_nm"], abs=0.2)
    assert base.data["band_nm"] < 0.4
    assert base.data["peak_nm"] == pytest.approx(run.product["peak_nm"], abs=0.6)


def test_other_aliquots_are_only_recorded(conducted):
    run = anchored(conducted, "first")
    assert "track.anchored" not in run.codes()
    assert spectra(run, "cuvette absorbance")


def test_a_typed_anchor_belongs_to_the_aliquot_drawn_before(conducted):
    ask = (
        "  - ramp: {to: 60 C, within: 3 K}\n"
        "  - ask: {for: 1S of the aliquot, unit: nm, range: 440 nm .. 620 nm, anchors: peak}\n"
    )
    run = anchored(conducted, "first", ask)
    (event,) = [e for e in run.events if e.code == "track.anchored"]
    assert event.data["temperature_c"] == pytest.approx(90.0, abs=3.0)


def test_a_laser_that_cannot_be_switched_off_spoils_no_absorbance_frame(conducted):
    kept = {}

    def deaf(world, inbox, rig):
        device = world.device("laser")
        kept["feed"] = device.feed
        # It goes deaf while it emits: the command to switch off is the first it misses.
        device.feed = lambda data, t_ns: (
            [] if b"STAT OFF" in data.upper() else kept["feed"](data, t_ns)
        )

    def hears(world, inbox, rig):
        world.device("laser").feed = kept["feed"]

    long = BASELINE.replace("5 min", "20 min")
    run = conducted(long, head=HEAD, sheet=SHEET, during={500: deaf, 700: hears})
    assert "track.silent" in run.codes()
    assert run.codes().count("track.lost") == run.codes().count("track.found") == 1
    frames = spectra(run, "sample")
    assert len(frames) > 60
    for nm, counts in frames:
        line = np.abs(nm - 405.0) < 1.5
        beside = (np.abs(nm - 405.0) > 4.0) & (np.abs(nm - 405.0) < 10.0)
        assert counts[line].max() < np.median(counts[beside]) + 12.0 * counts[beside].std()


def test_a_film_on_the_window_is_told_once_and_the_peak_stays(conducted):
    def film(world, inbox, rig):
        clean = world._light.state
        world._light.state = lambda flask, t_s: replace(clean(flask, t_s), bubbles_au=0.06)

    long = BASELINE.replace("5 min", "20 min")
    run = conducted(long, head=HEAD, sheet=SHEET, during={600: film})
    (told,) = [e for e in run.events if e.code == "track.fouling"]
    assert told.level == "warning"
    assert told.data["level_au"] == pytest.approx(0.06, abs=0.005)
    assert 600 < told.t_ns / NS < 600 + 20 * 30
    times, peaks = (np.array(column) for column in run.series["peak.25C"])
    before = peaks[(times > 300) & (times < 600)]
    after = peaks[times > 700]
    assert np.median(after) == pytest.approx(np.median(before), abs=0.1)


def test_a_clean_window_is_no_news(lit):
    assert not [code for code in lit.codes() if code in {"track.fouling", "track.lamp"}]
