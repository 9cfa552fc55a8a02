"""A run as a dry run would leave it, made of closed forms; `period_s` sets how dense."""

import math
import random
from array import array

import pytest

from labctl.readings import Channel, Event, Kind, Quality, Reading, Spectrum
from labctl.record import Assumed, DoseRow, InputRow, Lot, Record, RunMeta

S = 1_000_000_000
PLAN = [  # stage, id, verb, summary, start s, end s, planned s
    ("Core", "Core.1", "charge", "charge SQ and NC by hand", 0, 600, 600),
    ("Core", "Core.2", "degas", "degas at 110 °C for 30 min below 0.5 mbar", 600, 3600, 2700),
    ("Core", "Core.3", "backfill", "backfill with N₂ to ambient", 3600, 3660, 60),
    ("Core", "learn", "ramp", "cool to 60 °C, learning the peak per K", 3660, 4800, 900),
    ("Stage I", "add_zn", "inject", "inject ZN 0.4 mmol at 200 °C", 4800, 5700, 840),
    ("Stage I", "hf", "hf_treat", "HF treatment at 120 °C", 5700, 7500, 1800),
    ("Stage II", "to_250", "ramp", "heat to 250 °C at 10 K/min", 7500, 8300, 780),
    ("Stage II", "add_s", "inject", "inject S 0.2 mmol over 60 s", 8300, 8360, 60),
    ("Stage II", "grow", "wait_until", "1S saturated, at most 2 h", 8360, 11_960, 3600),
    ("Stage III", "to_320", "ramp", "heat to 320 °C", 11_960, 12_500, 420),
    ("Stage III", "anneal", "hold", "hold 20 min at 320 °C", 12_500, 13_700, 1200),
    ("Stage III", "quench", "quench", "cool to 60 °C", 13_700, 14_400, 900),
]
SETPOINTS = [(0, 25), (600, 110), (3660, 60), (4500, 200), (5700, 120), (7500, 250), (11_960, 320)]
SETPOINTS += [(13_700, 40)]
DOSES = [
    ("SQ", "hand", "charge", 60, 120, 10.0, 10.0, 25.0, None),
    ("NC", "hand", "charge", 300, 330, 4.4, 4.4, 25.0, 2.2e-4),
    ("ZN-prime", "pump_1", "prime", 4600, 4630, 0.3, 0.3, None, None),
    ("ZN", "pump_1", "injection", 4800, 5100, 2.016, 2.0, 200.3, 1.0),
    ("HF", "pump_3", "injection", 5760, 5820, 0.0743, 0.0741, 120.1, 0.26),
    ("S", "pump_2", "injection", 8300, 8360, 0.0922, 0.0917, 250.2, 0.2),
]
CHANNELS = [
    Channel("peak.hot", "wavelength"),
    Channel("peak.25C", "wavelength"),
    Channel("pl.area", "area"),
    Channel("flask.T", "temperature"),
    Channel("heater.setpoint", "temperature", kind=Kind.COMMANDED),
    Channel("heater.output", "fraction"),
    Channel("flask.T2", "temperature"),
    Channel("stirrer.speed", "rotation"),
    Channel("flask.P", "pressure"),
    Channel("line.P", "pressure"),
    Channel("warm.T", "temperature"),
    *(Channel(f"pump_{n}.dispensed", "volume") for n in (1, 2, 3)),
]


def setpoint(t_s):
    return float(next(c for start, c in reversed(SETPOINTS) if t_s >= start))


def peak_25c(t_s):
    grown = 0.0 if t_s < 8360 else 18.0 * (1 - math.exp(-(t_s - 8360) / 600))
    return 562.0 + grown - (3.0 if t_s > 5800 else 0.0)


def write_run(directory, period_s=10, *, simulated=True, finish=True, **changes):
    """Write the run; return its directory."""
    plain = {
        "run_id": "20251103-090000-inp_zns-ab12",
        "recipe_name": "InP/ZnS heteroepitaxy, two layers",
        "recipe_path": "recipes/inp_zns_surface_initiated.yaml",
        "recipe_text": "labctl: recipe/1\n",
        "seed": 7,
        "simulated": simulated,
        "started_local": "2025-11-03T09:00:00",
        "rig_name": "schlenk line 2, hood 14",
        "sample": "YK-231",
        "operator": "YK",
        "versions": {"labctl": "0.1.0", "python": "3.11.7"},
        "choices": {"layers": 2},
        "assumed": (
            Assumed("stir", "600 rpm", "the paper is silent; usual for a 50 mL flask"),
            Assumed("settle", "60 s", "three times the heater's lag"),
        ),
        "lots": (
            Lot("SQ", "squalane", "SQ-2217", by="hand"),
            Lot("NC", "InP 3.2 nm in toluene", "YK-228", 5e-5, by="hand", made="2025-10-27"),
            Lot("ZN", "zinc oleate in squalane", "ZN-0912", 0.5, by="pump_1", made="2025-09-12"),
            Lot("S", "TOP-S", "TOPS-1009", 2.17, by="pump_2", made="2025-10-09"),
            Lot("HF", "HF in acetone", "HF-1103", 3.5, by="pump_3", made="2025-11-03"),
        ),
    }
    record = Record.create(directory, RunMeta(**plain | changes), durable=False)
    record.channels(CHANNELS)
    _steps_and_doses(record)
    _readings(record, period_s, random.Random(5))
    _decision(record, random.Random(6))
    _spectra(record, random.Random(7))
    _people(record)
    if finish:
        truth = {"layers": 2.04, "qy": 0.964, "peak_nm": 577.1, "spent": {"Zn": 0.61, "S": 0.2}}
        record.finish(14_400 * S, "complete", "complete_with_deviations", product=truth, wall_s=8.2)
    record.close()
    return directory


def _steps_and_doses(record):
    for stage, id_, verb, summary, start, end, planned in PLAN:
        step = record.step_started(
            start * S, id_, verb, stage, summary=summary, planned_s=float(planned)
        )
        if verb == "hold":
            record.step_clock(step, start * S + 4 * S)
        record.step_ended(step, end * S, "done")
    for id_, by, kind, start, end, commanded, delivered, flask, mmol in DOSES:
        into = "waste" if kind == "prime" else "flask"
        record.dose(
            DoseRow(id_, id_.partition("-")[0], by, kind, into, "done", start * S, end * S, flask,
                    commanded, delivered, mmol)
        )  # fmt: skip


def _readings(record, period_s, noise):
    flask = warm = 25.0
    for t_s in range(0, 14_400, period_s):
        target = setpoint(t_s)
        step = max(-6.0, min(10.0, target - flask)) * period_s / 60
        flask += step if abs(target - flask) > 1 else (target - flask) * 0.3
        if 8300 <= t_s < 8300 + period_s:
            flask -= 9.0
        warm += (60.0 - warm) * min(1.0, period_s / 300)
        vacuum = 600 < t_s < 3600
        now = {
            "flask.T": flask + noise.gauss(0, 0.08),
            "flask.T2": flask - 0.4 + noise.gauss(0, 0.2),
            "heater.setpoint": target,
            "heater.output": min(1.0, max(0.0, 0.15 + (target - flask) / 40)),
            "stirrer.speed": 600 + noise.gauss(0, 2),
            "warm.T": warm,
            "flask.P": (0.08 + 900 * math.exp(-(t_s - 600) / 90)) if vacuum else 1013.0,
            "line.P": (0.01 + 500 * math.exp(-(t_s - 600) / 70)) if vacuum else 1015.0,
        }
        for channel, value in now.items():
            record.append(Reading(channel, value, Quality.GOOD, t_s * S))
        _optical(record, t_s, flask, noise)
    for _, by, _, start, end, commanded, *_ in DOSES:
        if by != "hand":
            for t_s in range(start, end + 1, 5):
                share = (t_s - start) / (end - start)
                value = commanded * share
                record.append(Reading(f"{by}.dispensed", value, Quality.GOOD, t_s * S))


def _optical(record, t_s, flask, noise):
    if t_s < 3660 or flask > 305:
        return
    quality = Quality.BAD if 8300 <= t_s < 8340 else Quality.GOOD
    at_25c = peak_25c(t_s) + noise.gauss(0, 0.06)
    record.append(Reading("peak.25C", at_25c, quality, t_s * S))
    record.append(Reading("peak.hot", at_25c + 0.095 * (flask - 25), quality, t_s * S))
    if t_s % 60 == 0:
        area = 400 * (1 + 3 * (t_s > 5800)) * (1 - 0.002 * (flask - 25)) + noise.gauss(0, 9)
        record.append(Reading("pl.area", area, Quality.GOOD, t_s * S))


def _decision(record, noise):
    number = record.decision_started(8360 * S, "grow", "saturated", "peak")
    for t_s in range(8365, 11_960, 15):
        peak = peak_25c(t_s) + noise.gauss(0, 0.06)
        ok = noise.random() > 0.04
        record.decision_input(
            InputRow(number, t_s * S, peak + 21.4, peak, 0.06, 250.1, hold=t_s < 8400, used=ok)
        )
    evidence = {
        "state": "saturated", "remaining_nm": 0.04, "probability": 0.9994, "n": 42,
        "slope_nm_min": -0.0021, "slope_sd_nm_min": 0.0034, "shift_nm": 17.9, "shift_sd_nm": 0.12,
        "interval_nm": [-0.11, 0.21], "frames": 228, "coefficient": 1.034,
        "coefficient_sigma": 0.012, "coefficient_source": "learnt", "also_flat": "pl", "flat": True,
        "hot_nm": 598.31, "peak_25c_nm": 576.93, "band_nm": 0.21, "temperature_c": 250.1,
        "reason": "less than 0.35 nm left",
    }  # fmt: skip
    reason = "less than 0.35 nm is left at 99.9 %, also for the slowest tail held possible"
    record.decision_ended(number, 11_955 * S, "saturated", reason, evidence)


def _spectra(record, noise):
    nm = array("d", [380.0 + 0.75 * i for i in range(512)])
    lamp = [200 + 52_000 * math.exp(-(((x - 610) / 150) ** 2)) for x in nm]

    def frame(t_s, source, counts, kind, integration_s=0.02):
        record.spectrum(
            Spectrum(source, nm, array("I", [max(0, round(c)) for c in counts]), integration_s, 10,
                     0, 65_535, t_s * S),
            kind,
        )  # fmt: skip

    for k in range(3):
        frame(3600 + k, "uvvis", [200 + noise.gauss(0, 3) for _ in nm], "dark")
        frame(3610 + k, "uvvis", [c + noise.gauss(0, 20) for c in lamp], "reference")
    for t_s in range(3700, 14_400, 300):
        peak = peak_25c(t_s) + 5
        absorbed = [
            0.42 * math.exp(-(((x - peak) / 17) ** 2)) + 1.3 / (1 + math.exp((x - peak + 55) / 22))
            for x in nm
        ]
        light = [200 + (c - 200) * 10**-a for c, a in zip(lamp, absorbed, strict=True)]
        frame(t_s, "uvvis", [c + noise.gauss(0, 12) for c in light], "sample")
        bright = 9000 * (1 + 3 * (t_s > 5800))
        glow = [150 + bright * math.exp(-(((x - peak - 24) / 21) ** 2)) for x in nm]
        frame(t_s, "pl", [c + noise.gauss(0, 15) for c in glow], "pl", 0.5)


def _people(record):
    record.event(Event(0, "ambient", "ambient is 1013 mbar", {"pressure_mbar": 1013.0}))
    record.event(
        Event(3600 * S, "deviation", "Core.2: accepted 0.08 mbar after 50 min", {}, "warning")
    )
    alarm = record.alarm(9000 * S, "stir_slow", "warn", "stirrer below 550 rpm for 10 s")
    record.alarm_off(alarm, 9030 * S)
    asked = record.question(10 * S, "Is the scrubber filled with KOH?", ["yes", "abort"], "abort")
    record.answer(asked, 42 * S, "yes", "YK", simulated=True)
    record.command(9100 * S, "YK", "pause", accepted=False, reason="grow cannot be paused")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The directory of a run with a point every 10 s."""
    return write_run(tmp_path_factory.mktemp("run") / "r")


@pytest.fixture(scope="session")
def make_run():
    """The function that writes such a run into a directory."""
    return write_run
