"""Runs that several tests read: made once, never written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.prepare import Request, prepare
from labctl.session import dry_run

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes/inp_zns_surface_initiated.yaml"


@pytest.fixture(scope="session")
def paper_plan():
    """The plan of the paper's InP/ZnS recipe on the bundled rig."""
    return prepare(Request(RECIPE))[0]


@pytest.fixture(scope="session")
def paper_run(paper_plan, tmp_path_factory):
    """The directory of its dry run with seed 1."""
    return dry_run(paper_plan, seed=1, runs=tmp_path_factory.mktemp("runs")).directory


@pytest.fixture(scope="session")
def by_hand_run(tmp_path_factory):
    """The directory of a dry run of it where everything is done by hand, aliquots included."""
    sheet = RECIPE.with_name("inp_zns_surface_initiated.manual.batch.yaml")
    planned, _ = prepare(Request(RECIPE, ROOT / "rigs/manual.yaml", sheet))
    return dry_run(planned, seed=1, runs=tmp_path_factory.mktemp("by_hand")).directory
