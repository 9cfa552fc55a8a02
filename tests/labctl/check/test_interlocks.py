"""Interlocks of rig and recipe: one change that only its rule refuses, and a near miss."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import Case, changed, found, judge_near_miss, judge_violation, texts

W = Severity.WARNING
ZNS = "inp_zns_surface_initiated"
PUMPS = "gates: [pump_1, pump_2, pump_3], require: stirrer.speed"
SUCK = "gates: [line_1, line_2, line_3, pump_1, pump_2, pump_3]"
ADDED = "interlocks:                    # unknown"


def adding(rule):
    return f"interlocks:\n- {rule}\n                               # unknown"


def own(rule):
    return f"interlocks:\n- {rule}\nneeds:"


CASES = [
    Case("interlocks.heater", ZNS, "rig", "id: warm_hot,    severity: trip",
         "id: warm_hot,    severity: warn", "warm:    {kind", "id: warm_hot_too, severity: trip",
         "warm heats, and no trip reads", W),
    Case("interlocks.pump", ZNS, "rig", SUCK, "gates: [line_1, line_2, line_3, pump_1, pump_3]",
         "pump_2:  {kind", "gates: [line_1, line_2, line_3, pump_3, pump_2, pump_1]",
         "pump_2 doses, and no inhibit gates it", W,
         also=(("rig", PUMPS, PUMPS.replace("pump_2, ", "")),)),
    Case("interlocks.valve", ZNS, "rig", SUCK, SUCK.replace("line_1, ", ""), "line_1: 4",
         SUCK.replace("line_1, line_2", "line_2, line_1"),
         "no inhibit gates the valve line_1", W),
    Case("interlocks.names", ZNS, "recipe", "needs:",
         own("{id: mine, severity: warn, require: flask.Q < 300 C}"), "flask.Q < 300 C",
         own("{id: mine, severity: warn, require: flask.T < 300 C}"), "'flask.Q' is not known"),
    Case("interlocks.functions", ZNS, "rig", ADDED,
         adding("{id: mine, severity: warn, require: rat(flask.T) > 1}"), "rat(flask.T) > 1",
         adding("{id: mine, severity: warn, require: 'rate(flask.T, 60 s) < 20 K/min'}"),
         "there is no function 'rat'; did you mean 'rate'"),
    Case("interlocks.functions", ZNS, "rig", ADDED,
         adding("{id: mine, severity: warn, require: flask.T < 60 C, when: state(runing)}"),
         "state(runing)",
         adding("{id: mine, severity: warn, require: flask.T < 60 C, when: state(running)}"),
         "state knows no 'runing'; did you mean 'running'"),
    Case("interlocks.units", ZNS, "rig", ADDED,
         adding("{id: mine, severity: warn, require: flask.T < 300 mbar}"), "flask.T < 300 mbar",
         adding("{id: mine, severity: warn, require: flask.P < 300 mbar}"),
         "cannot put a temperature (°C) and a pressure (mbar)"),
    Case("interlocks.units", ZNS, "rig", ADDED,
         adding("{id: mine, severity: warn, require: 'rate(flask.T, 60 s) < 300 C'}"),
         "'rate(flask.T, 60 s) < 300 C'",
         adding("{id: mine, severity: warn, require: 'rate(flask.T, 60 s) < 300 K/h'}"),
         "cannot put a temperature rate (K/min) and a temperature (°C)"),
    Case("interlocks.units", ZNS, "rig", ADDED,
         adding("{id: mine, severity: warn, require: 'stable(flask.P, 2 K, 60 s)'}"),
         "'stable(flask.P, 2 K, 60 s)'",
         adding("{id: mine, severity: warn, require: 'stable(flask.P, 2 mbar, 60 s)'}"),
         "write stable(SIGNAL, 0.5 K, 120 s), the spread as a pressure (mbar)"),
    Case("interlocks.max_age", ZNS, "rig", "flask.T < 345 C, max_age: 5 s,", "flask.T < 345 C,",
         "flask.T < 345 C", "flask.T < 345 C, max_age: 9 s,", "how old may that be", W),
    Case("interlocks.reachable", ZNS, "rig", "flask.T < 345 C", "flask.T < 401 C",
         "flask.T < 401 C", "flask.T < 399 C", "flask.T is read up to 400", W),
    Case("interlocks.reachable", ZNS, "rig", ADDED,
         adding("{id: mine, severity: inhibit, require: site.attended}"), "mine",
         adding("{id: mine, severity: inhibit, gates: [n2], require: site.attended}"),
         "it has no gates", W),
    Case("interlocks.action", ZNS, "rig", "action: stop pump_3", "action: stop pump_4",
         "stop pump_4", "action: stop pump_2", "did you mean 'pump_3'"),
    Case("interlocks.same_id", ZNS, "recipe", "needs:",
         own("{id: too_hot, severity: warn, require: flask.T < 300 C}"), "too_hot",
         own("{id: too_warm, severity: warn, require: flask.T < 300 C}"),
         "a recipe adds, never alters"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_near_miss_passes(case):
    judge_near_miss(case)


@pytest.mark.parametrize(
    "call", ["rate(flask.T)", "stable(flask.T, 60 s)", "abs(flask.T, 1 K)", "rate(flask.T, 5 K)"]
)
def test_a_function_is_told_how_it_is_written(call):
    rule = f"{{id: mine, severity: warn, require: '{call} < 5 K'}}"
    (told,) = found(changed(texts(ZNS), ("rig", ADDED, adding(rule))))
    assert told.rule == "interlocks.units"
    assert "write " in told.message
