"""Rules on the scrubber: what is in it today, against the gases of the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labctl.check.seen import doses, met
from labctl.chemistry.mixture import Mixture
from labctl.chemistry.substances import SUBSTANCES
from labctl.errors import Finding
from labctl.plan import Plan

TAKEN_BY = {
    "HF": ("KOH", "NaF"),
    "PH3": ("CuSO4", "bleach"),
    "H2Se": ("CuSO4", "bleach"),
    "H2S": ("CuSO4", "bleach"),
}
MAKES_WITH_BLEACH = {"HF": "chlorine", "acetone": "chloroform"}
TRACE_MMOL = 0.1
_BETWEEN = re.compile(r"\s*(?:[,;+/]|\band\b|\bthen\b)\s*")


def contents(plan: Plan) -> Iterator[Finding]:
    """`scrubber.contents`: what is in the scrubber takes every gas that the recipe may give off.

    HF goes to KOH or NaF; PH3, H2Se and H2S go to CuSO4 or bleach, since base does not stop them.
    Two in series are written `KOH, CuSO4` on the sheet.
    """
    today = {part.casefold() for part in _today(plan)}
    for gas, why in gases(plan).items():
        if not today & {taker.casefold() for taker in TAKEN_BY[gas]}:
            holds = plan.batch.model.scrubber or "nothing that the sheet tells"
            message = f"{why}; {gas} goes to {' or '.join(TAKEN_BY[gas])}, today it is {holds}"
            mark = plan.batch.document.mark(("scrubber",))
            yield mark.finding("scrubber.contents", message)


def bleach(plan: Plan) -> Iterator[Finding]:
    """`scrubber.bleach`: no bleach where HF or acetone comes: they make chlorine and chloroform."""
    exhaust = plan.rig.model.exhaust
    rig_says = exhaust.scrubber.bleach_never_with if exhaust and exhaust.scrubber else ()
    if "bleach" not in {part.casefold() for part in _today(plan)}:
        return
    for name in dict.fromkeys(("HF", "acetone", *rig_says)):
        if any(dose.holds(name) for dose in doses(plan)):
            made = MAKES_WITH_BLEACH.get(name, "something the rig forbids")
            message = f"{name} reaches bleach and makes {made}; fill KOH or NaF today"
            yield plan.batch.document.mark(("scrubber",)).finding("scrubber.bleach", message)
            return


def _today(plan: Plan) -> list[str]:
    return [part for part in _BETWEEN.split(plan.batch.model.scrubber) if part]


def gases(plan: Plan) -> dict[str, str]:
    """Return each gas that may leave the flask, with the first reason for it."""
    found: dict[str, str] = {}
    for dose in doses(plan):
        step = dose.planned.step.id
        if dose.holds("P(TMS)3"):
            found.setdefault("PH3", f"{step}: P(TMS)3 gives PH3 with every trace of acid or water")
        if dose.holds("HF"):
            found.setdefault("HF", f"{step}: HF leaves with the gas")
        held = met(plan, dose.planned)
        for gas, chalcogenide in (("H2Se", "TOP selenide"), ("H2S", "TOP sulfide")):
            acid = _acid_mmol(held)
            if held.amount_mmol(chalcogenide) > 0 and acid > TRACE_MMOL:
                why = f"{chalcogenide} meets {acid:.3g} mmol of acid in the flask"
                found.setdefault(gas, f"{step}: {why}")
    return found


def _acid_mmol(mixture: Mixture) -> float:
    return sum(
        mmol for name, mmol in mixture.parts if SUBSTANCES[name].kind in {"acid", "fatty acid"}
    )
