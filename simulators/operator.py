"""The simulated person at the rig: does at once what is asked, and answers from the world's truth.

Units as in the task: mL for what is poured, injected or drawn, the thing's own for what is set.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from labctl.capabilities import Reply, Task, TaskKind
from labctl.errors import UsageError
from labctl.readings import Spectrum

PEAK: Final = "peak_25c"
BALANCE: Final = "balance."
PEAK_SIGMA_NM: Final = 0.3
READING_SIGMA: Final = 0.002
SIGNERS: Final = ("operator", "second")


class Hands(Protocol):
    """What a person can do at the simulated rig; every call brings it to `t_ns` first."""

    def get(self, thing: str, t_ns: int) -> float:
        """Read a thing."""
        ...

    def put(self, thing: str, value: float, t_ns: int) -> None:
        """Turn a thing."""
        ...

    def knows(self, thing: str) -> bool:
        """Say whether a thing can be read."""
        ...

    def charge(self, reagent: str, volume_ml: float, t_ns: int) -> None:
        """Pour a reagent into the flask."""
        ...

    def weighed_g(self, pump: str, t_ns: int) -> float:
        """Return what the balance under a pump's needle shows, in g."""
        ...

    def press(self, t_ns: int) -> None:
        """Press the button."""
        ...

    def sample(self, volume_ml: float, t_ns: int) -> tuple[Mapping[str, Spectrum], float | None]:
        """Draw an aliquot; return its spectra and its true peak at 25 °C in nm."""
        ...

    def peak_25c_nm(self, t_ns: int) -> float | None:
        """Return the flask's true peak at 25 °C in nm."""
        ...

    def stream(self, name: str) -> random.Random:
        """Return a random stream by name."""
        ...


class SimOperator:
    """A person who signs, pours, turns and reads without delay, at the run's present time."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._now_ns: Callable[[], int] = int
        self._noise = hands.stream("operator.noise")
        self._does: dict[TaskKind, Callable[[Task, int], Reply]] = {
            TaskKind.CONFIRM: self._confirm,
            TaskKind.ANSWER: self._answer,
            TaskKind.CHARGE: self._charge,
            TaskKind.INJECT: self._inject,
            TaskKind.SWITCH: self._turn,
            TaskKind.SET: self._turn,
            TaskKind.READ: self._read,
            TaskKind.SAMPLE: self._sample,
        }

    def follow(self, now_ns: Callable[[], int]) -> None:
        """Take the run's time from here; before that it stands at 0."""
        self._now_ns = now_ns

    async def do(self, task: Task) -> Reply:
        """Do one task at once.

        Raises:
            UnknownNameError: a reagent that the recipe does not have.
            UsageError: a task that needs an amount has none.
        """
        return self._does[task.kind](task, self._now_ns())

    def _confirm(self, task: Task, _t_ns: int) -> Reply:
        return Reply(signed=SIGNERS[: task.signatures])

    def _answer(self, task: Task, t_ns: int) -> Reply:
        if task.simulated:
            return Reply(text=task.simulated)
        if task.dimension:
            value = self._measured(task.subject, t_ns)
            if value is not None:
                return Reply(value=value)
        return Reply(text=task.default, by_default=True)

    def _charge(self, task: Task, t_ns: int) -> Reply:
        volume_ml = _amount(task)
        self._hands.charge(task.subject, volume_ml, t_ns)
        return Reply(value=volume_ml)

    def _inject(self, task: Task, t_ns: int) -> Reply:
        self._hands.press(t_ns)
        return self._charge(task, t_ns)

    def _turn(self, task: Task, t_ns: int) -> Reply:
        self._hands.put(task.subject, _amount(task), t_ns)
        return Reply(value=task.amount)

    def _read(self, task: Task, t_ns: int) -> Reply:
        value = self._hands.get(task.subject, t_ns)
        return Reply(value=value * (1.0 + self._noise.gauss(0.0, READING_SIGMA)))

    def _sample(self, task: Task, t_ns: int) -> Reply:
        spectra, peak_nm = self._hands.sample(_amount(task), t_ns)
        return Reply(text=task.subject, value=self._blurred(peak_nm), spectra=spectra)

    def _measured(self, subject: str, t_ns: int) -> float | None:
        if subject == PEAK:
            return self._blurred(self._hands.peak_25c_nm(t_ns))
        if subject.startswith(BALANCE):
            return self._hands.weighed_g(subject.removeprefix(BALANCE), t_ns)
        return self._hands.get(subject, t_ns) if self._hands.knows(subject) else None

    def _blurred(self, peak_nm: float | None) -> float | None:
        return None if peak_nm is None else peak_nm + self._noise.gauss(0.0, PEAK_SIGMA_NM)


def _amount(task: Task) -> float:
    if task.amount is None:
        raise UsageError(f"asked to {task.kind} {task.subject!r} without an amount; give one")
    return task.amount
