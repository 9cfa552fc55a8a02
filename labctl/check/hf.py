"""Rules on hydrofluoric acid: how much, through what, and what else is in the flask."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.check.seen import Dose, at, dosed_at_c, doses, doses_of, met, names_in
from labctl.chemistry.gas import gas_volume_ml
from labctl.chemistry.substances import SUBSTANCES
from labctl.errors import Finding, Severity
from labctl.plan import Plan, PlannedStep
from labctl.rig.devices import PumpEntry, SpectrometerEntry
from labctl.units import show

RESISTS = frozenset({"etfe", "fep", "hastelloy", "pctfe", "pe", "pfa", "pp", "ptfe", "pvdf"})
ATTACKED_IN_PROBES = ("epoxy", "frit", "peek", "steel")
PROTOCOL_C = 160.0


def amount(plan: Plan) -> Iterator[Finding]:
    """`hf.amount`: not more HF in a batch, nor stronger in the flask, than the rig's owner allows.

    0.5 mmol and 50 µmol per mL unless the rig says otherwise (`hf`); the paper uses 0.4 and 40.
    """
    limits, given = plan.rig.model.hf, 0.0
    for dose in _hf(plan):
        brought = dose.brings(plan).get("HF", 0.0)
        given += dose.planned.times * brought
        held = dose.planned.before.mixture.amount_mmol("HF")
        strength = (held + brought) / max(dose.planned.before.volume_ml(), 1e-9)
        if given > limits.per_batch:
            message = (
                f"{show(given, 'amount')} of HF in this batch; {plan.rig.model.name} allows "
                f"{show(limits.per_batch, 'amount')}"
            )
        elif strength > limits.in_flask:
            message = (
                f"{strength * 1e3:.3g} µmol of HF per mL of flask; {plan.rig.model.name} allows "
                f"{limits.in_flask * 1e3:.3g}"
            )
        else:
            continue
        yield at(plan, dose.place, "hf.amount", message, Severity.ERROR)


def wetted(plan: Plan) -> Iterator[Finding]:
    """`hf.wetted`: every wetted part of the HF pump withstands HF: no glass, no steel, no PEEK.

    PP, PE, PTFE, PFA, FEP, ETFE, PVDF, PCTFE and Hastelloy do; the recipe's own list narrows them.
    """
    for name, reagent in plan.recipe.head.reagents.items():
        load = plan.scene.loads[name]
        entry = plan.rig.model.devices.get(load.pump)
        if "HF" not in names_in(load) or not isinstance(entry, PumpEntry):
            continue
        allowed = RESISTS
        if reagent.wetted:
            allowed = RESISTS & {material.casefold() for material in reagent.wetted}
        wrong = [part for part in entry.wetted if part.casefold() not in allowed]
        if wrong or not entry.wetted:
            attacked = f"wets {', '.join(wrong)}" if wrong else "does not say what it wets"
            message = f"{load.pump} {attacked}; HF may touch only {', '.join(sorted(allowed))}"
            mark = plan.rig.document.mark(("devices", load.pump, "wetted"))
            yield mark.finding("hf.wetted", message)


def probe(plan: Plan) -> Iterator[Finding]:
    """`hf.probe`: the optical probe in the flask has no epoxy, frit, steel or PEEK for HF to eat.

    Quartz and sapphire lose no more than the flask does.
    """
    device = plan.rig.entry("absorbance")[0]
    entry = plan.rig.model.devices.get(device)
    fitted = isinstance(entry, SpectrometerEntry) and entry.probe is not None
    if not fitted or not plan.recipe.head.needs.in_loop or not any(True for _ in _hf(plan)):
        return
    for part in ("window", "body"):
        text = str(getattr(getattr(entry, "probe", None), part, ""))
        attacked = [word for word in ATTACKED_IN_PROBES if word in text.casefold()]
        if attacked:
            message = (
                f"the probe's {part} is {text!r}: HF attacks {attacked[0]}; use sapphire or "
                "quartz in Hastelloy or PFA, or take the probe out"
            )
            mark = plan.rig.document.mark(("devices", device, "probe", part))
            yield mark.finding("hf.probe", message)


def chalcogenide(plan: Plan) -> Iterator[Finding]:
    """`hf.chalcogenide`: HF comes before sulfide and selenide, or it makes H2S and H2Se.

    A departure that a desorption series is made of; the scrubber must take the gas.
    """
    for planned in plan.steps:
        held = met(plan, planned)
        acid = held.amount_mmol("HF")
        selenides = [(n, m) for n, m in held.parts if SUBSTANCES[n].kind == "chalcogenide"]
        if acid > 0 and selenides and _brings_either(plan, planned):
            name, mmol = selenides[0]
            gas_ml = gas_volume_ml(min(mmol, acid))
            message = (
                f"HF meets {show(mmol, 'amount')} of {name}: up to {show(gas_ml, 'volume', 3)} of "
                f"{'H2Se' if 'selenide' in name else 'H2S'}"
            )
            yield planned.step.mark.finding("hf.chalcogenide", message, Severity.WARNING)


def hot(plan: Plan) -> Iterator[Finding]:
    """`hf.hot`: HF is given at 160 °C at most; above that the source has tried nothing."""
    for dose in _hf(plan):
        at_c = dosed_at_c(dose.planned)
        if at_c > PROTOCOL_C:
            message = (
                f"HF at {show(at_c, 'temperature')}; the source gives it at 120 to 150 °C, and "
                f"above {show(PROTOCOL_C, 'temperature')} it leaves before it reacts"
            )
            yield dose.planned.step.mark.finding("hf.hot", message, Severity.WARNING)


def _brings_either(plan: Plan, planned: PlannedStep) -> bool:
    return any(
        dose.holds("HF") or dose.load.composition.substance.kind == "chalcogenide"
        for dose in doses_of(plan, planned)
    )


def _hf(plan: Plan) -> Iterator[Dose]:
    return (dose for dose in doses(plan) if dose.holds("HF"))
