"""What a whole series takes: what to weigh and draw for all of its vessels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labctl.outlook.materials import Material, materials
from labctl.plan import Plan


@dataclass(frozen=True, slots=True)
class Total:
    """A reagent over all runs of a series.

    `material` holds the sums over those that need it, `runs` how many these are; `least_ml` and
    `most_ml` are needed for one run, doses and priming together.
    """

    material: Material
    runs: int
    least_ml: float
    most_ml: float


def totals(plans: Sequence[Plan]) -> Iterator[Total]:
    """Yield what each reagent is needed for over all plans of a series, in the recipe's order.

    A reagent that no run needs is left out.
    """
    for rows in zip(*map(materials, plans), strict=True):
        needing = [row for row in rows if row.needed_ml > 0]
        if needing:
            each = [row.needed_ml for row in needing]
            yield Total(_sum(needing), len(needing), min(each), max(each))


def _sum(rows: Sequence[Material]) -> Material:
    """Return one material with the doses, priming, drawn volumes and masses of all."""
    return replace(
        rows[0],
        doses_ml=sum(row.doses_ml for row in rows),
        priming_ml=sum(row.priming_ml for row in rows),
        drawn_ml=_whole([row.drawn_ml for row in rows]),
        mass_g=_whole([row.mass_g for row in rows]),
    )


def _whole(values: Sequence[float | None]) -> float | None:
    """Return the sum; None where one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
