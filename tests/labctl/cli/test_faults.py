"""`--fault` and `--list-faults` at the command line: listed, refused, and on served simulators."""

import json
from dataclasses import replace

import pytest

from labctl.cli import main
from labctl.cli.bare import PORT, bare_twin
from labctl.cli.faulted import faults_of
from labctl.registry import build_world, fault_table

IKA_NAME = b"IN_NAME \r \n"


@pytest.mark.parametrize("command", ["dry-run", "simulate"])
def test_the_faults_are_listed_for_people_and_for_programs(command, capsys):
    assert main([command, "--list-faults"]) == 0
    text = capsys.readouterr().out
    assert main([command, "--list-faults", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["faults"]
    assert [row["name"] for row in rows] == list(fault_table())
    assert all(row["name"] in text for row in rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dry-run", "recipes/inp_zns_surface_initiated.yaml", "--fault", "lamp_of@uvvis"],
         "did you mean 'lamp_off'"),
        (["dry-run", "recipes/inp_zns_surface_initiated.yaml", "--fault", "lamp_off@uvvi"],
         "did you mean 'uvvis'"),
        (["dry-run"], "name a recipe"),
        (["simulate", "--kind", "ika_rct", "--fault", "drop_reply@line@stage2"], "nothing runs"),
        (["simulate", "--kind", "ika_rct", "--fault", "usb_unplug@line"], "neither pulled"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(arguments, says, capsys):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_a_served_instrument_has_its_fault_for_as_long_as_it_lasts():
    spec, _ = bare_twin("ika_rct", 1)
    faults = faults_of(["drop_reply(count=0)@line+1s~2s"])
    line = build_world(replace(spec, faults=faults)).line(PORT)
    answered = [bool(line.feed(IKA_NAME, t_s * 10**9)) for t_s in range(5)]
    assert answered == [True, False, False, True, True]
