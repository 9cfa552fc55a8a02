"""What every step is: typed fields, what it does to the flask, how long it takes, how it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, PrivateAttr

from labctl.bench import Bench, Estimate, Resume, Scene
from labctl.chemistry.flask import Flask
from labctl.fields import Name, Strict
from labctl.source import Document, Mark, Place


class Step(Strict, ABC):
    """One step of a recipe.

    `shorthand` names the field that a bare value fills (`stir: 700 rpm`). `uses` are the roles the
    rig must bind. A step that `protects` makes the flask inert or clean, or proves it tight: it is
    never left out. One that is done `once` is made no longer, nor begun again but by a person.
    """

    verb: ClassVar[str]
    shorthand: ClassVar[str] = ""
    uses: ClassVar[tuple[str, ...]] = ()
    resume: ClassVar[Resume] = Resume.ASK
    protects: ClassVar[bool] = False
    once: ClassVar[bool] = False

    id: Name = Field("", description="the name other steps use in `since: ID.end`")
    on_fail: Literal["retry", "freeze", "ask", "skip", "park", "safe"] | None = Field(
        default=None,
        description="what is done when it fails; as the recipe's `problem` says unless given",
    )
    retries: int = Field(
        default=1, ge=1, le=5, description="how often `on_fail: retry` begins it again, e.g. 2"
    )
    _written: tuple[Document, Place] | None = PrivateAttr(default=None)

    @property
    def mark(self) -> Mark:
        """Where the step stands in its file."""
        written = self._written
        return written[0].key_mark(written[1]) if written else Mark("<recipe>")

    @property
    def place(self) -> Place:
        """Where the step's fields stand in the document's tree."""
        return self._written[1] if self._written else ()

    def placed(self, document: Document, place: Place, name: str) -> Step:
        """Remember where the step was written, and what it is called; return it."""
        self._written = document, place
        object.__setattr__(self, "id", name)  # not yet in anyone's hands
        return self

    def renamed(self, name: str) -> Step:
        """Return the same step under another name."""
        return self.model_copy(update={"id": name})

    def effect(self, flask: Flask, scene: Scene) -> Flask:
        """Return the flask after the step."""
        return flask

    @abstractmethod
    def estimate(self, flask: Flask, scene: Scene) -> Estimate:
        """Return what the step is expected to take, starting from a flask."""

    @abstractmethod
    async def run(self, bench: Bench) -> None:
        """Do the step.

        Raises:
            StepFailedError: it cannot reach its end.
        """

    def said_on_fail(self) -> str:
        """Say what is done when the step fails, if it says so itself: `retry 2 times, then ask`."""
        if self.on_fail == "retry":
            return f"retry {self.retries} time{'s' * (self.retries > 1)}, then ask"
        return self.on_fail or ""

    def children(self) -> tuple[Step, ...]:
        """Return the steps inside this one."""
        return ()

    def gives(self) -> tuple[str, ...]:
        """Return the reagents that the step itself brings into the flask."""
        return ()

    def arms(self) -> tuple[tuple[Step, ...], ...]:
        """Return the steps inside this one, apart where one of several ways is taken."""
        return (self.children(),)

    def rounds(self) -> int:
        """Return how often the steps inside this one are done at most."""
        return 1

    def roles(self) -> tuple[str, ...]:
        """Return the roles this step needs the rig to bind."""
        return self.uses

    def summary(self) -> str:
        """Say the step in a few words, for timeline and screen."""
        return self.verb.replace("_", " ")


def flattened(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Yield steps and the steps inside them, in order."""
    for step in steps:
        yield step
        yield from flattened(step.children())
