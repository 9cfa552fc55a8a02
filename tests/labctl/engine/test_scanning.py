"""A scanning detector plays `pl`: the same recipe, slower frames, the same emission."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.record import open_run

HEAD = """
labctl: recipe/1
name: scanned
needs: {vessel: 50 mL, max_T: 250 C, in_loop: [absorbance, pl]}
reagents:
  SQ: {is: squalane}
  NC: {is: InP-OA 3.3 nm in toluene, concentration: from batch}
track:
  peak: {from: absorbance, every: 10 s, start_near: 580 nm, report_at: 25 C}
  pl:   {from: pl, every: 60 s, as: area per absorbed photon}
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
QEPRO = "{kind: ocean_qepro, port: qepro, detector: -10 C,"
HORIBA = (
    "{kind: horiba_icl, port: qepro, electrons_per_count: 1, read_noise: 0,\n"
    "            scan: {from: 540 nm, to: 720 nm, step: 4 nm, dwell: 0.1 s},"
)


@pytest.fixture
def scanned(conducted, rig_text):
    """The bundled rig with the QE Pro, or with a HORIBA in its place."""

    def run(horiba):
        rig = rig_text
        if horiba:
            assert QEPRO in rig
            rig = rig.replace(QEPRO, HORIBA)
            rig = rig.replace("qepro: {usb: FTDI A10K77R1}", "qepro: {tcp: horiba.lab:25010}")
        return conducted(BASELINE, head=HEAD, sheet=SHEET, rig=rig)

    return run


def last_frames(run):
    with open_run(run.directory) as record:
        return [record.curve(stamp) for stamp in record.spectra("pl")]


def test_a_dry_run_with_a_scanning_detector_completes_and_sees_the_same_emission(scanned):
    scan, array = scanned(horiba=True), scanned(horiba=False)
    assert (scan.outcome, array.outcome) == ("complete", "complete")
    frames = last_frames(scan)
    assert len(frames) >= 4
    assert list(frames[0].wavelengths_nm) == [540.0 + 4 * n for n in range(46)]
    seen = np.array(frames[-1].values, float)
    assert 560 < frames[-1].wavelengths_nm[int(np.argmax(seen))] < 700
    assert "device.silent" not in scan.codes()
    scanned_nm, array_nm = (
        np.median([nm for nm in run.series["pl.peak"][1] if nm is not None])
        for run in (scan, array)
    )
    assert scanned_nm == pytest.approx(array_nm, abs=2.0)
