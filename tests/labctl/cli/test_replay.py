"""`labctl replay`: runs and files decided again, and what is refused."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

NM = np.arange(430.0, 760.0, 1.0)
TAU_S, RISE_NM, START_NM = 150.0, 10.0, 566.0


def spectrum(t_s, seed):
    """Absorbance of growing dots: a Gaussian on a rise to the blue, with noise."""
    centre = START_NM + RISE_NM * (1 - math.exp(-t_s / TAU_S))
    band = 0.45 * np.exp(-0.5 * ((NM - centre) / 22.0) ** 2)
    blue = 0.9 / (1 + np.exp((NM - 500.0) / 18.0))
    return band + blue + np.random.default_rng(seed).normal(0, 6e-4, NM.size)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """One CSV with a spectrum every 20 s for 50 min."""
    times = range(0, 3000, 20)
    columns = [spectrum(t, n) for n, t in enumerate(times)]
    head = "nm / s," + ",".join(map(str, times))
    rows = (",".join(f"{v:.5f}" for v in row) for row in zip(NM, *columns, strict=True))
    path = tmp_path_factory.mktemp("spectra") / "series.csv"
    path.write_text("\n".join([head, *rows]), encoding="utf-8")
    return path


def jcamp(path, t_s, seed):
    values = "\n".join(f"{x:g}, {y:.5f}" for x, y in zip(NM, spectrum(t_s, seed), strict=True))
    clock = f"##LONGDATE= 2025/11/03 12:{int(t_s) // 60:02}:{int(t_s) % 60:02}"
    head = "##TITLE= x\n##JCAMP-DX= 5.01\n##XUNITS= NANOMETERS\n##YUNITS= ABSORBANCE"
    path.write_text(
        f"{head}\n{clock}\n##TEMPERATURE= 200\n##XYPOINTS= (XY..XY)\n{values}\n##END=\n",
        encoding="utf-8",
    )


def test_a_run_is_told_as_recorded_and_as_replayed(labctl, paper_run):
    code, out, err = labctl("replay", paper_run, "--min-plateau", "0s", "--timer", "15min")
    assert (code, err) == (0, "")
    recorded, replayed = (line.split() for line in out.splitlines() if "  saturated  " in line)
    assert (recorded[0], replayed[0]) == ("recorded", "replayed")
    assert replayed[2] < recorded[2], "clock times"
    assert "min_plateau 0 s" in " ".join(out.split())
    assert "A timer of 15 min after the injection of S" in out
    assert "still to come" in out


def test_the_json_of_a_run_has_its_published_keys(labctl, paper_run):
    code, out, _ = labctl("replay", paper_run, "--format", "json")
    said = json.loads(out)
    assert code == 0
    assert set(said) == {"run", "directory", "estimator", "decisions"}
    (made,) = said["decisions"]
    assert made["step"] == "stage2.3"
    assert made["recorded"]["verdict"] == made["replayed"]["verdict"] == "saturated"
    assert made["recorded"]["at_s"] == made["replayed"]["at_s"]
    assert made["settings"]["delta_nm"] == 0.5
    assert {"after", "started_s", "at_s", "to_come_nm", "to_come_by"} == set(made["timers"][0])


def test_a_csv_matrix_is_decided_on_and_its_peaks_written(labctl, matrix, tmp_path):
    peaks = tmp_path / "peaks.csv"
    code, out, err = labctl(
        "replay", "--spectra", matrix, "--at", "200C", "--near", "555nm", "--peaks", peaks,
        "--format", "json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    (made,) = json.loads(out)["decisions"]
    assert made["recorded"] is None
    assert made["replayed"]["verdict"] == "saturated"
    assert made["replayed"]["at_s"] > TAU_S * math.log(RISE_NM / 0.5)
    timer = made["timers"][0]
    assert timer["to_come_nm"] == pytest.approx(RISE_NM * math.exp(-600 / TAU_S), abs=0.15)
    with peaks.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 150
    shift = float(rows[-1]["peak_hot_nm"]) - float(rows[0]["peak_hot_nm"])
    assert shift == pytest.approx(RISE_NM, abs=0.4)
    assert float(rows[0]["peak_hot_nm"]) - float(rows[0]["peak_25c_nm"]) > 9.0


def test_jcamp_files_come_in_the_order_of_their_times(labctl, tmp_path):
    for n, t_s in enumerate(range(0, 600, 60)):
        jcamp(tmp_path / f"{n}.jdx", t_s, n)
    files = sorted(tmp_path.glob("*.jdx"), reverse=True)
    peaks = tmp_path / "peaks.csv"
    code, _, err = labctl("replay", "--spectra", *files, "--peaks", peaks)
    assert (code, err) == (0, "")
    with peaks.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["t_s"]) for row in rows] == list(range(0, 600, 60))
    assert {row["temperature_c"] for row in rows} == {"200"}


def test_a_bad_file_is_refused_at_its_line(labctl, matrix, tmp_path):
    text = matrix.read_text(encoding="utf-8").splitlines()
    text[5] = text[5].replace(",", ",oops", 1)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(text), encoding="utf-8")
    code, out, err = labctl("replay", "--spectra", bad, "--at", "200 C")
    assert (code, out) == (2, "")
    assert f"{bad}:6:2: error: 'oops" in err
    assert "is not an absorbance [spectra.number]" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "replay takes a RUN, or --spectra"),
        (["last", "--spectra", "x.csv"], "one of them"),
        (["last", "--at", "25 C"], "--at goes with --spectra"),
        (["last", "--delta", "0.3"], "has no unit"),
        (["last", "--alpha", "tiny"], "a number such as 0.001"),
        (["last", "--timer", "0 s"], "a timer takes some time"),
        (["last", "--estimator", "lmfit"], "invalid choice"),
        (["--spectra", "absent.csv"], "absent.csv"),
        (["--spectra", "x.csv", "--estimator", "recorded"], "no recorded peaks"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(labctl, arguments, says):
    code, out, err = labctl("replay", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_spectra_without_time_or_temperature_say_what_to_write(labctl, tmp_path):
    rows = "\n".join(f"{x:g},{y:.5f}" for x, y in zip(NM, spectrum(0.0, 1), strict=True))
    one = tmp_path / "one.csv"
    one.write_text(rows, encoding="utf-8")
    code, _, err = labctl("replay", "--spectra", one, "--at", "200 C")
    assert code == 2
    assert "write --every '30 s'" in err
    code, _, err = labctl("replay", "--spectra", one, "--every", "30 s")
    assert code == 2
    assert "gives no temperature; write --at" in err
    code, out, _ = labctl("replay", "--spectra", one, one, "--every", "30 s", "--at", "25 C")
    assert code == 0
    assert "not decided" in out
