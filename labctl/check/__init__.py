"""Static checks over the plan: one module per family of rules, all in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from labctl.check import (
    doses,
    due,
    failing,
    fluidics,
    gas,
    hf,
    interlocks,
    limits,
    order,
    people,
    scrubber,
    thermal,
    trap,
    vacuum,
    vessel,
)
from labctl.errors import Finding, Severity, nearest
from labctl.plan import Plan
from labctl.rig.batch import Accepted

Rule = Callable[[Plan], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "vacuum.boiling": vacuum.boiling,
    "vacuum.foaming": vacuum.foaming,
    "vacuum.backfill_first": vacuum.backfill_first,
    "vacuum.hot_leak_test": vacuum.hot_leak_test,
    "vacuum.two_sources": vacuum.two_sources,
    "vacuum.rough_only": vacuum.rough_only,
    "vacuum.rough_takes": vacuum.rough_takes,
    "vacuum.too_fast": vacuum.too_fast,
    "vacuum.acetic_acid": vacuum.acetic_acid,
    "vacuum.gauge": vacuum.gauge,
    "vacuum.solvent_loss": vacuum.solvent_loss,
    "trap.argon": trap.argon,
    "trap.gated": trap.gated,
    "trap.dewar": trap.dewar,
    "trap.acid": trap.acid,
    "gas.closed_heating": gas.closed_heating,
    "gas.suck_back": gas.suck_back,
    "gas.flash": gas.flash,
    "gas.phosphine": gas.phosphine,
    "gas.boiling": gas.boiling,
    "gas.residual_solvent": gas.residual_solvent,
    "gas.ketonisation": gas.ketonisation,
    "hf.amount": hf.amount,
    "hf.wetted": hf.wetted,
    "hf.probe": hf.probe,
    "hf.chalcogenide": hf.chalcogenide,
    "hf.hot": hf.hot,
    "scrubber.contents": scrubber.contents,
    "scrubber.bleach": scrubber.bleach,
    "thermal.cold_drop": thermal.cold_drop,
    "thermal.probe_limit": thermal.probe_limit,
    "thermal.materials": thermal.materials,
    "thermal.air_exposure": thermal.air_exposure,
    "limits.temperature": limits.temperature,
    "limits.needs": limits.needs,
    "limits.heater": limits.heater,
    "limits.duration": limits.duration,
    "vessel.fill_high": vessel.fill_high,
    "vessel.fill_low": vessel.fill_low,
    "vessel.aliquot": vessel.aliquot,
    "vessel.glass": vessel.glass,
    "doses.beyond_syringe": doses.beyond_syringe,
    "doses.not_enough": doses.not_enough,
    "doses.rate": doses.rate,
    "doses.same_day": doses.same_day,
    "fluidics.shared_line": fluidics.shared_line,
    "fluidics.only": fluidics.only,
    "fluidics.wetted": fluidics.wetted,
    "fluidics.pyrophoric": fluidics.pyrophoric,
    "fluidics.glovebox": fluidics.glovebox,
    "fluidics.flush": fluidics.flush,
    "fluidics.waste": fluidics.waste,
    "fluidics.dead_volume": fluidics.dead_volume,
    "fluidics.hanging_drop": fluidics.hanging_drop,
    "fluidics.least_dose": fluidics.least_dose,
    "fluidics.cold_line": fluidics.cold_line,
    "order.prime": order.prime,
    "order.reference": order.reference,
    "order.vacuum_after_hf": order.vacuum_after_hf,
    "order.zinc_first": order.zinc_first,
    "order.zinc_hot": order.zinc_hot,
    "order.sulfur_hold": order.sulfur_hold,
    "order.pl_not_the_end": order.pl_not_the_end,
    "failing.skipped": failing.skipped,
    "failing.repeated": failing.repeated,
    "failing.unparked": failing.unparked,
    "people.unattended": people.unattended,
    "people.hazard_hours": people.hazard_hours,
    "people.by_hand": people.by_hand,
    "people.hf_alone": people.hf_alone,
    "people.pyrophoric_alone": people.pyrophoric_alone,
    "people.slow_aliquots": people.slow_aliquots,
    "interlocks.heater": interlocks.heater,
    "interlocks.pump": interlocks.pump,
    "interlocks.valve": interlocks.valve,
    "interlocks.names": interlocks.names,
    "interlocks.functions": interlocks.functions,
    "interlocks.units": interlocks.units,
    "interlocks.max_age": interlocks.max_age,
    "interlocks.reachable": interlocks.reachable,
    "interlocks.action": interlocks.action,
    "interlocks.same_id": interlocks.same_id,
    "due.calibration": due.calibration,
    "due.cutout": due.cutout,
}


EARLY_ROUNDS = (1, 2)

# What may never be accepted: the harm does not stay with the one who accepts it.
NEVER_ACCEPTED = frozenset({
    "due.cutout",
    "failing.skipped",
    "fluidics.shared_line",
    "gas.closed_heating",
    "hf.wetted",
    "limits.temperature",
    "people.hf_alone",
    "scrubber.bleach",
    "trap.argon",
    "vacuum.two_sources",
})  # fmt: skip

# A dry run is warned of these; on real instruments they refuse.
REFUSED_ON_HARDWARE = frozenset({"due.calibration", "due.cutout"})


def check(plan: Plan, *, hardware: bool = False) -> list[Finding]:
    """Run all rules over a plan; an accepted rule is told as a note with who accepted it.

    An `accept` of a rule that is not known, or can never be accepted, is itself an error. For
    `hardware`, what is overdue is an error unless it is accepted.
    """
    findings = _found(plan)
    accepted = {k: v for k, v in plan.batch.model.accept.items() if k not in NEVER_ACCEPTED}
    noted = [
        _noted(finding, accepted[finding.rule]) if finding.rule in accepted else finding
        for finding in findings
    ]
    judged = [_on_hardware(finding) for finding in noted] if hardware else noted
    return [*_wrongly_accepted(plan), *judged]


def _on_hardware(finding: Finding) -> Finding:
    refused = finding.rule in REFUSED_ON_HARDWARE and finding.severity is Severity.WARNING
    return replace(finding, severity=Severity.ERROR) if refused else finding


def _found(plan: Plan) -> list[Finding]:
    """Run the rules; over a repeat in its last round, and then in the first two of them.

    What is told of the last round is not told again of an earlier one.
    """
    findings = [finding for rule in RULES.values() for finding in rule(plan)]
    for number in EARLY_ROUNDS if plan.repeats else ():
        early = plan.in_round(number)
        told = {(f.rule, f.file, f.line, f.column) for f in findings}
        more = [finding for rule in RULES.values() for finding in rule(early)]
        findings += [f for f in more if (f.rule, f.file, f.line, f.column) not in told]
    return findings


def _noted(finding: Finding, accepted: Accepted) -> Finding:
    said = f"accepted by {accepted.by} on {accepted.date}: {accepted.reason}"
    return replace(finding, severity=Severity.NOTE, message=f"{finding.message} ({said})")


def _wrongly_accepted(plan: Plan) -> Iterator[Finding]:
    for rule in plan.batch.model.accept:
        mark = plan.batch.document.key_mark(("accept", rule))
        if rule in NEVER_ACCEPTED:
            message = f"{rule} can never be accepted: change the recipe, the rig or the day"
            yield mark.finding("batch.never_accepted", message)
        elif rule not in RULES:
            message = f"there is no rule {rule!r} on the plan{nearest(rule, RULES)}"
            yield mark.finding("batch.unknown_rule", message)
