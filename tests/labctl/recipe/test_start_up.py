"""What a check costs before it begins: speed itself is in `python -m benchmarks.checking`."""

import yaml

from benchmarks.checking import checked, long_recipe


def test_a_check_of_200_steps_passes_without_numpy():
    text = long_recipe()
    tree = yaml.safe_load(text)
    assert sum(map(len, [*tree["stages"].values(), tree["finally"]])) == 200
    cpu_s, code, numpy = checked(text)
    assert (code, numpy) == ("0", False)
    assert cpu_s > 0
