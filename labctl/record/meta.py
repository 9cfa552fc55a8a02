"""What is known of a run before it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.readings import Scalar
from labctl.record.rows import Assumed, Json, Lot, RunRow

USED = "recipe/"
"""Before the name of a file that the recipe uses, as an artefact."""
MEMBER = "series.json"
"""The artefact that says which member of which series a run is."""


@dataclass(frozen=True, slots=True)
class RunMeta:
    """What is known of a run before it starts; `started_local` is ISO 8601.

    `files` are the texts of the files that the recipe uses, by name; `member` says which run of
    which series this is, and is empty for a run of its own.
    """

    run_id: str
    recipe_name: str
    recipe_path: str
    recipe_text: str
    seed: int
    simulated: bool
    started_local: str
    rig_name: str = ""
    rig_text: str = ""
    batch_text: str = ""
    sample: str = ""
    operator: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Scalar] = field(default_factory=dict)
    assumed: tuple[Assumed, ...] = ()
    lots: tuple[Lot, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    member: Mapping[str, Json] = field(default_factory=dict)

    @property
    def recipe_sha256(self) -> str:
        """SHA-256 over the recipe, and over the files that it uses with their names."""
        used = "".join(f"\0{name}\0{text}" for name, text in sorted(self.files.items()))
        return sha256(self.recipe_text + used)

    def row(self) -> RunRow:
        """Give the row that begins the record."""
        return RunRow(
            id=self.run_id,
            recipe_name=self.recipe_name,
            recipe_path=self.recipe_path,
            recipe_text=self.recipe_text,
            recipe_sha256=self.recipe_sha256,
            rig_name=self.rig_name,
            rig_text=self.rig_text,
            batch_text=self.batch_text,
            seed=self.seed,
            versions=dict(self.versions),
            choices=dict(self.choices),
            operator=self.operator,
            sample=self.sample,
            simulated=self.simulated,
            started_local=self.started_local,
        )


def sha256(text: str) -> str:
    """Give the SHA-256 of a text's UTF-8, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()
