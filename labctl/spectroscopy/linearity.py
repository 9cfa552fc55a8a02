"""The linearity of a detector: counts that grow less than the light, put right.

No numpy here, so that a rig file with senseless coefficients is refused without loading it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from labctl.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T", float, "NDArray[np.float64]")

CHECKED_AT = 64
LARGEST_PART = 0.3
"""A polynomial further than this from 1 belongs to another instrument or another unit."""


@dataclass(frozen=True, slots=True)
class Linearity:
    """Counts above dark, divided by a polynomial in themselves, are proportional to light.

    `coefficients` ascend in order, as spectrometers store them; they hold up to `up_to_counts`
    (raw, as the converter gives them).

    Raises:
        UsageError: within that range the polynomial leaves 1 by 30 %, or more light gives less.
    """

    coefficients: tuple[float, ...]
    up_to_counts: float

    def __post_init__(self) -> None:
        if not self.coefficients or not self.up_to_counts > 0.0:
            raise UsageError("linearity needs coefficients, and the highest count they hold for")
        for step in range(CHECKED_AT + 1):
            at = self.up_to_counts * step / CHECKED_AT
            part = self._polynomial(at)
            if not abs(part - 1.0) < LARGEST_PART or not self.slope(at) > 0.0:
                raise UsageError(
                    f"linearity: at {at:.0f} counts the polynomial is {part:.3g}; it must stay "
                    f"within {LARGEST_PART:.0%} of 1, and more light must give more counts"
                )

    def linear(self, counts: T) -> T:
        """Give the counts of a linear detector from counts above dark."""
        return counts / self._polynomial(counts)

    def slope(self, counts: T) -> T:
        """Give d linear / d counts; the readout's noise grows by it."""
        part, rise = self._polynomial(counts), counts * 0.0
        for order in range(len(self.coefficients) - 1, 0, -1):
            rise = rise * counts + order * self.coefficients[order]
        return (part - counts * rise) / (part * part)

    def _polynomial(self, counts: T) -> T:
        value = counts * 0.0
        for coefficient in reversed(self.coefficients):
            value = value * counts + coefficient
        return value
