"""Static checks over the plan: one module per family of rules, all in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labctl.check import doses, limits, order, people, vessel
from labctl.errors import Finding, Severity
from labctl.plan import Plan

Rule = Callable[[Plan], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "limits.temperature": limits.temperature,
    "limits.needs": limits.needs,
    "limits.heater": limits.heater,
    "limits.duration": limits.duration,
    "vessel.fill_high": vessel.fill_high,
    "vessel.fill_low": vessel.fill_low,
    "vessel.aliquot": vessel.aliquot,
    "doses.beyond_syringe": doses.beyond_syringe,
    "doses.not_enough": doses.not_enough,
    "doses.rate": doses.rate,
    "order.prime": order.prime,
    "order.reference": order.reference,
    "order.vacuum_after_hf": order.vacuum_after_hf,
    "order.pl_not_the_end": order.pl_not_the_end,
    "people.unattended": people.unattended,
    "people.by_hand": people.by_hand,
    "people.hf_alone": people.hf_alone,
}


def check(plan: Plan) -> list[Finding]:
    """Run all rules over a plan; an accepted rule is told as a note with who accepted it."""
    findings = [finding for rule in RULES.values() for finding in rule(plan)]
    accepted = plan.batch.model.accept
    return [
        finding
        if finding.rule not in accepted
        else Finding(
            finding.rule,
            Severity.NOTE,
            finding.file,
            finding.line,
            finding.column,
            f"{finding.message} (accepted by {accepted[finding.rule].by} on "
            f"{accepted[finding.rule].date}: {accepted[finding.rule].reason})",
        )
        for finding in findings
    ]
