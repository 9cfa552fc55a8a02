"""Vacuum, trap and gas: one change that only its rule refuses, and a near miss that passes."""

import pytest

from labctl.errors import Severity
from tests.labctl.check.cases import Case, changed, found, judge_near_miss, judge_violation, texts

W = Severity.WARNING
ZNS, CORES, ZNSE = "inp_zns_surface_initiated", "inp_cores_2p4", "inp_znse_200c"
STRIP = "strip: {solvent: toluene, at: 40 C, down_to: 10 Torr, over: 20 min, pump: rough}"
LEAK = "leak_test: {T_below: 40 C, pump_to: 100 mTorr, isolate: 5 min, rise_below: 20 mTorr/min}"
DEGAS = "degas: {at: 120 C, for: 30 min, below: 100 mTorr, timeout: 90 min}"
TRAP = (
    "trap:     {cools: LN2, after: NaF tower, before: pump_fine, ask_level: 3 h, "
    "never: [argon, air while cold, backfill while open to it]}"
)
NO_ACID = ("recipe", "zinc acetate in oleic acid", "zinc oleate in ODE")

CASES = [
    Case("vacuum.boiling", ZNS, "recipe", STRIP, "ramp: {to: 60 C}", "degas: {at: 120",
         STRIP.replace("40 C", "60 C"), "opened at once over 60 \u00b0C the liquid bumps: toluene"),
    Case("vacuum.boiling", "stock", "recipe", "degas: {at: 120 C", "degas: {at: 200 C",
         "degas:", "degas: {at: 150 C", "the solvent itself boils"),
    Case("vacuum.boiling", "stock", "recipe", "backfill: {cycles: 1}", "stir: 300 rpm",
         "ramp: {to: 200", "backfill: {cycles: 2}", "under vacuum the liquid boils"),
    Case("vacuum.too_fast", ZNS, "recipe", "over: 20 min, pump: rough", "over: 2 min, pump: rough",
         "strip:", "over: 10 min, pump: rough", "66.7 mbar/min at most", W),
    Case("vacuum.foaming", "stock", "recipe", "volume: 10 mL", "volume: 12 mL", "degas:",
         "volume: 11 mL", "the flask is 35% full"),
    Case("vacuum.acetic_acid", "stock", "recipe", DEGAS, DEGAS.replace("120 C", "80 C"), "degas:",
         DEGAS.replace("120 C", "118 C"), "of 4 mmol acetic acid stay in the flask: 30 min", W),
    Case("vacuum.acetic_acid", "stock", "recipe", DEGAS, DEGAS.replace("30 min", "20 min"),
         "degas:", DEGAS.replace("30 min", "25 min"), "half of it takes 5 min there", W),
    Case("vacuum.acetic_acid", "stock", "recipe", DEGAS, "stir: 300 rpm", "charge: {reagent: A",
         DEGAS, "nothing pumps it off", W),
    Case("vacuum.gauge", CORES, "recipe", "100 mTorr, read_at: line", "100 mTorr, read_at: flask",
         "degas: {at: 110", "1 Torr, read_at: flask", "read at the line", W),
    Case("vacuum.solvent_loss", CORES, "recipe", "for: 60 min, below", "for: 90 min, below",
         "degas: {at: 110", "for: 59 min, below", "fit a condenser", W),
    Case("vacuum.rough_only", ZNS, "recipe", STRIP, "stir: 500 rpm", "degas: {at: 120",
         STRIP.replace("40 C", "30 C"), "41.2 mmol toluene; it freezes in the trap", W),
    Case("vacuum.rough_takes", ZNS, "rig", "[HF, acetone, toluene]}", "[HF, acetone]}", "strip:",
         "[toluene, HF, acetone]}", "it takes HF, acetone"),
    Case("vacuum.two_sources", "stock", "rig", "[n2, vac_rough, vac_fine]", "[n2, vac_rough]",
         "interlocks:", "[vac_fine, n2, vac_rough]", "no inhibit that gates n2"),
    Case("vacuum.backfill_first", ZNS, "recipe", "backfill: {cycles: 1}\n  stage1",
         "stir: 500 rpm\n  stage1", "inject: {id: zn1", "backfill: {cycles: 2}\n  stage1",
         "backfill to ambient (1005 mbar) first"),
    Case("vacuum.hot_leak_test", "stock", "recipe", LEAK, "ramp: {to: 45 C}\n  - " + LEAK, "leak_",
         "ramp: {to: 35 C}\n  - " + LEAK, "the test asks for less than 40"),
    Case("trap.argon", "stock", "rig", "inert: N2", "inert: Ar", "Ar, attended", "inert: Ar",
         "argon boils at -185.8", near_also=(("rig", "cools: LN2", "cools: dry ice"),)),
    Case("trap.gated", "stock", "rig", "flask.P < 15 mbar and trap.cold", "flask.P < 15 mbar",
         "interlocks:", "flask.P < 10 mbar and trap.cold", "through liquid nitrogen"),
    Case("trap.acid", "stock", "rig", TRAP, "# none", "degas:", "# none", "4 mmol of acetic acid",
         also=(("rig", " and trap.cold", ""), ("rig", " and trap.cold", "")),
         near_also=(NO_ACID,)),
    Case("trap.dewar", ZNS, "recipe", "for: 30 min, below", "for: 200 min, below",
         "degas: {at: 120", "for: 170 min, below", "filled once on", W),
    Case("gas.closed_heating", "stock", "rig", "from: bubbler", "from: closed manifold",
         "200 C, rate", "from: oil bubbler", "1.20 times"),
    Case("gas.suck_back", "stock", "rig", "[suck-back trap 100 mL, scrubber]", "[scrubber]",
         "quench:", "[suck-back trap 50 mL, scrubber]", "there is no suck-back trap"),
    Case("gas.suck_back", "stock", "rig", "suck-back trap 100 mL", "suck-back trap 5 mL",
         "quench:", "suck-back trap 20 mL", "the trap holds 5 mL"),
    Case("gas.flash", ZNS, "recipe", "over: 2.5 min, blanket", "over: 1.5 min, blanket",
         "0.40 mmol, at: 120", "over: 2 min, blanket", "0.0762 mL/min"),
    Case("gas.phosphine", CORES, "recipe", "{is: 1-octadecene}", "{is: oleic acid}",
         "1.0 mmol, by: hand", "{is: squalane}", "24.5 mL of PH3"),
    Case("gas.boiling", "stock", "recipe", "ramp: {to: 200 C", "ramp: {to: 330 C", "330 C",
         "ramp: {to: 310 C", "330 \u00b0C is asked for", also=(NO_ACID,)),
    Case("gas.residual_solvent", "stock", "recipe", "zinc acetate in oleic acid",
         "zinc oleate in toluene", "200 C, rate", "zinc oleate in ODE", "mmol toluene when it is",
         also=(("recipe", LEAK, "stir: 300 rpm"), ("recipe", DEGAS, "stir: 300 rpm"))),
    Case("gas.ketonisation", "stock", "recipe", "ramp: {to: 200 C", "ramp: {to: 305 C", "305 C",
         "ramp: {to: 300 C", "of CO2 and steam", W),
]  # fmt: skip
NAMES = [f"{case.rule}-{n}" for n, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_violation_is_found_where_it_stands_and_nothing_else(case):
    judge_violation(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_near_miss_passes(case):
    judge_near_miss(case)


def test_without_a_trap_nothing_holds_a_solvent_back_from_the_fine_pump():
    rig = texts(ZNS)["rig"]
    trap = next(line for line in rig.splitlines(True) if line.startswith("trap:"))
    files = changed(texts(ZNS), ("recipe", STRIP, "stir: 500 rpm"), ("rig", trap, ""))
    (told,) = [f for f in found(files) if f.rule == "vacuum.rough_only"]
    assert told.severity is Severity.ERROR
    assert "nothing holds it back" in told.message


def accepting(rule):
    accept = f"accept:\n  {rule}: {{reason: a test, by: MT, date: 2025-11-03}}\n"
    return changed(texts("stock"), ("sheet", "loads:", f"{accept}loads:"))


def test_what_can_never_be_accepted_is_refused_with_a_sentence():
    files = changed(accepting("trap.argon"), ("rig", "inert: N2", "inert: Ar"))
    refused, told = found(files)
    assert (refused.rule, refused.line, refused.column) == ("batch.never_accepted", 7, 3)
    assert refused.message.startswith("trap.argon can never be accepted")
    assert (told.rule, told.severity) == ("trap.argon", Severity.ERROR)


def test_an_unknown_rule_cannot_be_accepted():
    (told,) = found(accepting("vacuum.boilin"))
    assert (told.rule, told.severity) == ("batch.unknown_rule", Severity.ERROR)
    assert "did you mean 'vacuum.boiling'" in told.message
