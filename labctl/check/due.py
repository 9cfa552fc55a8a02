"""Rules on what is tested and calibrated by date: a warning, and on real instruments a refusal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from labctl.errors import Finding, Severity
from labctl.fields import Strict
from labctl.plan import Plan
from labctl.rig.devices import PumpEntry, calibrations
from labctl.source import Place


def calibration(plan: Plan) -> Iterator[Finding]:
    """`due.calibration`: no calibration is past its due date; a pump's counts if it holds a load.

    A warning on the day of the sheet; on real instruments a refusal. `labctl calibrate` renews it.
    """
    today = plan.batch.model.date.date()
    loaded = {load.pump for load in plan.scene.loads.values()}
    model, vessel = plan.rig.model, plan.batch.model.vessel
    rows: list[tuple[str, str, Strict]] = [("vessels", vessel, model.vessels[vessel])]
    rows += [("devices", name, entry) for name, entry in model.devices.items()]
    for kind, name, entry in rows:
        if isinstance(entry, PumpEntry) and name not in loaded:
            continue
        for part, due in calibrations(entry):
            if due.due is not None and due.due < today:
                message = (
                    f"{name}: its {' '.join(part)} was due on {due.due}; today is {today}: "
                    f"labctl calibrate {plan.rig.document.file} {name}"
                )
                place: Place = (kind, name, *part, "due")
                mark = plan.rig.document.mark(place)
                yield mark.finding("due.calibration", message, Severity.WARNING)


def cutout(plan: Plan) -> Iterator[Finding]:
    """`due.cutout`: every hardware cut-out was tested within the time that the rig file allows.

    A warning on the day of the sheet; on real instruments a refusal. Test it, then write `tested`.
    """
    today = plan.batch.model.date.date()
    for name, row in plan.rig.model.cutouts.items():
        due = row.tested + dt.timedelta(seconds=row.every)
        if due < today:
            message = (
                f"cut-out {name} ({row.is_}) was last tested on {row.tested}, so its test was due "
                f"on {due}; today is {today}: test it, then write the date"
            )
            mark = plan.rig.document.mark(("cutouts", name, "tested"))
            yield mark.finding("due.cutout", message, Severity.WARNING)
