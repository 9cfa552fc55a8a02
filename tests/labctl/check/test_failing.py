"""What a step may do by itself when it fails: a change only its rule refuses, and a near miss."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import Case, judge_near_miss, judge_violation

W = Severity.WARNING
GAS = "backfill: {cycles: 1}"
DEGAS = "below: 100 mTorr, timeout: 90 min}"
QUENCH = "quench: {to: 60 C, by: [jack, fan]}"
RAMP = "ramp: {to: 200 C, rate: 10 K/min, within: 2 K}"
CHARGE = "charge: {reagent: ODE, volume: 10 mL, by: hand}"

STRIP = "strip: {solvent: acetone, at: 25 C, down_to: 100 mbar, over: 5 min"
CASES = [
    Case("failing.skipped", "stock", "recipe", GAS, "backfill: {cycles: 1, on_fail: skip}",
         "backfill: {cycles: 1, on", "backfill: {cycles: 1, on_fail: ask}", "a failed backfill is"),
    Case("failing.skipped", "stock", "recipe", DEGAS, DEGAS[:-1] + ", on_fail: skip}",
         "degas:", DEGAS[:-1] + ", on_fail: retry, retries: 2}", "a failed degas is not skipped"),
    Case("failing.skipped", "stock", "recipe", GAS,
         "repeat: {until: flask.T > 10 C, at_most: 2, on_fail: skip, steps: [{backfill: "
         "{cycles: 1}}]}", "repeat:",
         "repeat: {until: flask.T > 10 C, at_most: 2, on_fail: freeze, steps: [{backfill: "
         "{cycles: 1}}]}", "a failed backfill is not skipped"),
    Case("failing.skipped", "stock", "recipe", GAS, STRIP + ", on_fail: skip}\n  - " + GAS,
         "strip:", STRIP + "}\n  - " + GAS, "a failed strip is not skipped"),
    Case("failing.repeated", "stock", "recipe", CHARGE, CHARGE[:-1] + ", on_fail: retry}",
         "charge: {reagent: ODE", CHARGE[:-1] + ", on_fail: ask}", "a failed charge is begun"),
    Case("failing.repeated", "stock", "recipe", QUENCH, QUENCH[:-1] + ", on_fail: retry}",
         "quench:", QUENCH[:-1] + ", on_fail: safe}", "a failed quench is begun again"),
    Case("failing.unparked", "stock", "recipe", RAMP, RAMP[:-1] + ", on_fail: park}",
         "ramp:", RAMP[:-1] + ", on_fail: park}", "only has no temperature in `park`", W,
         near_also=(("recipe", "stages:", "park: {only: 60 C}\nstages:"),)),
]  # fmt: skip
NAMES = [f"{case.rule}-{n}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_change_is_refused_by_its_rule_alone(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_near_miss_passes(case):
    judge_near_miss(case)
