"""`labctl chem`: quantities as typed at the shell, answers as text and JSON, refusals."""

import json
import math
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.cli import main
from labctl.cli.chem import CALCULATORS
from tests.labctl.cli.test_help import loaded_by

GUIDE = Path(__file__).parents[3] / "docs/how-to/calculate.md"
EXAMPLE = re.compile(r"```console\n\$ labctl (.*)\n((?:.*\n)*?)```")
LAYERS = ["--core", "3.3nm", "--shell", "ZnS", "--nc", "220nmol"]
FEED = "zinc oleate in ODE:5mL"
DROP = ["--flask", "squalane:10mL, ODE:3.5mL", "--at", "250C", "--add", FEED, "--from", "60C"]
HF = "HF 48 % in acetone:0.4mmol"


@pytest.fixture
def chem(capsys):
    """Run `labctl chem ARGUMENTS --format json`; return the values."""

    def run(*arguments):
        assert main(["chem", *arguments, "--format", "json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["calculator"] == arguments[0]
        assert answer["formula"]
        assert answer["source"]
        return answer["values"]

    return run


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        (["layers", *LAYERS, "--amount", "0.40mmol"], "layers", 2.07),
        (["layers", *LAYERS, "--amount", "0.40mmol", "--excess", "1"], "layers", 3.64),
        (["layers", *LAYERS, "--layers", "2"], "dose_mmol", 0.3814),
        (["layers", *LAYERS, "--layers", "2"], "diameter_nm", 4.549),
        (["layers", *LAYERS, "--layers", "2", "--rule", "half_a"], "layer_nm", 0.27045),
        (["size", "580nm"], "diameter_nm", 3.3),
        (["size", "470nm"], "diameter_nm", 2.4),
        (["size", "580nm"], "extinction_413_per_m_cm", 4.02e5),
        (["size", "580nm", "--curve", "almeida2023"], "volume_nm3", 5.155),
        (["size", "580nm", "--curve", "almeida2023-edge"], "edge_nm", 3.46),
        (["size", "601.1nm", "--at", "250C"], "peak_25c_nm", 580.0),
        (["strain", *LAYERS[:2], "--shell", "ZnSe", "--thickness", "0.7nm", "--misfit=-3.45%"],
         "strain_percent", -0.658),
        (["strain", *LAYERS[:2], "--shell", "ZnSe", "--thickness", "0.7nm", "--misfit=-3.387%"],
         "strain_percent", -0.646),
        (["strain", *LAYERS[:2], "--shell", "ZnSe", "--layers", "2"], "shell_nm", 0.6545),
        (["coverage", "--core", "2.4nm", "--nc", "3.5nmol", "--ferrocene", "1µmol", "--ratio",
          "19.7"], "ligands_per_nm2", 4.007),
        (["stock", "--amount", "0.4mmol", "--of", "TOP sulfide saturated"], "volume_ml", 0.1843),
        (["stock", "--volume", "3mL", "--of", "zinc oleate in ODE"], "amount_mmol", 1.5),
        (["stock", "--amount", "4mmol", "--of", "zinc oleate in ODE", "--concentration", "0.4M"],
         "volume_ml", 10.0),
        (["stock", "--amount", "0.4mmol", "--of", "HF 48 %"], "volume_ml", 0.0145),
        (["stock", "--amount", "0.4mmol", "--of", "HF 48 % in acetone"], "water_mmol", 0.4812),
        (["stock", "--amount", "220nmol", "--of", "InP-OA in toluene 50 µmol/L"], "volume_ml", 4.4),
        (["stock", "--amount", "10mmol", "--of", "zinc acetate"], "mass_g", 1.835),
        (["bubble-point", "squalane:10mL, zinc oleate in ODE:3mL, toluene:0.5mL"],
         "bubble_point_c", 194.7),
        (["bubble-point", "toluene:92.14g"], "bubble_point_c", 110.6),
        (["bubble-point", "ODE:3mmol", "--pressure", "100mTorr"], "bubble_point_c", 85.85),
        (["bubble-point", "water:1mL", "--at", "80C"], "vapour_pressure_mbar", 473.9),
        (["drop", *DROP], "drop_k", 27.75),
        (["drop", *DROP], "drop_without_glass_k", 53.64),
        # 9.08 J/K in 5 mL, warmed by 190 K, one of the five each minute.
        (["drop", *DROP, "--rate", "1 mL/min"], "power_w", 5.75),
        (["flash", HF, "--at", "120C"], "gas_ml", 71.9),
        (["flash", HF, "--at", "120C", "--headspace", "37mL"], "rise_mbar", 1969),
        (["flash", HF, "--at", "25C"], "gas_mmol", 0.4),
        (["expand", "18.6mL", "--to", "320C", "--flask", "50mL"], "full_percent", 47.08),
        (["suck-back", "30mL", "--from", "320C"], "drawn_in_ml", 14.92),
    ],
)  # fmt: skip
def test_values(chem, arguments, key, expected):
    assert chem(*arguments)[key] == pytest.approx(expected, rel=1.5e-3)


def test_a_dose_and_its_layers_are_inverse(chem):
    dose = chem("layers", *LAYERS, "--layers", "2.6")["dose_mmol"]
    assert chem("layers", *LAYERS, "--amount", f"{dose} mmol")["layers"] == pytest.approx(2.6)


@pytest.mark.parametrize(
    ("read", "peak", "micromolar"), [("0.63AU", "470nm", 44), ("0.82AU", "580nm", 22)]
)
def test_absorbance_of_the_flask_in_octadecene(chem, read, peak, micromolar):
    typed = (read, "--peak", peak, "--path", "1mm", "--solvent", "ODE")
    values = chem("concentration", *typed, "--dilution", "10fold")
    assert values["in_the_cell_umol_l"] == pytest.approx(micromolar, rel=0.02)
    assert values["concentration_umol_l"] == pytest.approx(10 * values["in_the_cell_umol_l"])


def test_curve_and_convention_travel_with_the_size(chem):
    values = chem("size", "520nm", "--curve", "Almeida2023")
    assert values["curve"] == "almeida-2023-volume"
    assert values["convention"] == "volume, nm³"
    assert "diameter_nm" not in values


def test_what_never_boils_is_null_and_a_sentence(chem, capsys):
    assert chem("bubble-point", "TOP:10mL")["bubble_point_c"] is None
    assert main(["chem", "bubble-point", "TOP:10mL"]) == 0
    assert "never" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["size", "580nm", "--curve", "almeida2023"], "Nano Lett. 2023, 23, 8697"),
        (["size", "601nm", "--at", "250C"], "Varshni"),
        (["layers", *LAYERS, "--amount", "0.4mmol"], "an excess of 2.25"),
        (["layers", "--core", "2.4nm", "--shell", "ZnSe", "--nc", "220nmol", "--layers", "2"],
         "1.6 on 2.4 nm"),
        (["strain", "--core", "3.3nm", "--shell", "ZnSe", "--layers", "2"],
         "its printed inputs give -0.00658"),
        (["coverage", "--core", "2.4nm", "--nc", "3.5nmol", "--ferrocene", "1µmol", "--ratio",
          "0.05"], "is --ratio upside down?"),
        (["stock", "--amount", "0.4mmol", "--of", "TOPS saturated"], "the paper does not state"),
        (["bubble-point", "squalane:10mL, toluene:0.5mL"], "outside the range of the fit"),
        (["concentration", "6AU", "--peak", "470nm", "--path", "10mm"], "take a shorter path"),
        (["drop", *DROP], "the glass takes 30 J/K"),
    ],
)  # fmt: skip
def test_the_answer_says_what_it_rests_on(arguments, said, capsys):
    assert main(["chem", *arguments]) == 0
    out = capsys.readouterr().out
    assert said in " ".join(out.split())
    for label in ("formula", "source", "assumed"):
        assert f"\n{label} " in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "layers, size, coverage"),
        (["sise", "580nm"], "did you mean 'size'?"),
        (["size", "580nm", "--crve", "x"], "did you mean '--curve'?"),
        (["size", "580nm", "--curve", "almeda2023"], "did you mean 'almeida2023'?"),
        (["size", "580"], "has no unit"),
        (["size", "700nm"], "holds from"),
        (["size", "580nm", "--at=-300C"], "expected above -273.15"),
        (["layers", *LAYERS], "--amount or --layers"),
        (["layers", *LAYERS, "--layers", "2", "--amount", "1mmol"], "one of them"),
        (["layers", *LAYERS, "--layers", "two"], "a number is expected"),
        (["layers", *LAYERS, "--layers", "nan"], "expected more than 0"),
        (["layers", *LAYERS, "--layers", "1e200"], "so much or so little"),
        (["layers", *LAYERS, "--layers", "2", "--rule", "d11"], "did you mean 'd111'?"),
        (["layers", "--core", "3 mm", "--shell", "ZnS", "--nc", "220nmol"], "like '3.3 nm'"),
        (["layers", "--core", "3nm", "--shell", "ZnSS", "--nc", "220nmol"], "did you mean 'ZnS"),
        (["layers", "--core", "3nm", "--shell", "ZnS"], "--nc"),
        (["strain", *LAYERS[:4], "--layers", "2", "--misfit=-200%"], "between -100 and 100 %"),
        (
            ["concentration", "1AU", "--peak", "470nm", "--path", "1mm", "--solvent", "octane"],
            "no refractive index of octane",
        ),
        (["stock", "--amount", "0.4mmol", "--of", "TOP sulfde"], "did you mean 'TOP sulfide'?"),
        (["stock", "--amount", "0.4mL", "--of", "HF 48 %"], "is a volume"),
        (["stock", "--amount", "0mmol", "--of", "HF 48 %"], "expected more than 0"),
        (["stock", "--volume", "1mL", "--of", "zinc acetate"], "is weighed"),
        (["stock", "--amount", "1mmol", "--of", "zinc oleate in ODE 5 M"], "cannot be 5 mol/L"),
        (["stock", "--amount", "220nmol", "--of", "InP in toluene"], "needs a concentration"),
        (["bubble-point", "sqalane:10mL"], "did you mean 'squalane'?"),
        (["bubble-point", "squalane"], "has no quantity"),
        (["bubble-point", "squalane:10"], "write a number and a unit"),
        (["bubble-point", "squalane:10mL,"], "has no quantity"),
        (["bubble-point", "N2:10mL"], "gas"),
        (["bubble-point", "zinc oleate in ODE:1g"], "a mass of a solution"),
        (["bubble-point", "zinc acetate:1mL"], "solid"),
        (["bubble-point", "InP 3.3 nm in toluene 0.05 M:1g"], "a mass of a solution"),
        (["drop", *DROP[:4], "--add", "InP in ODE 1 mol/L:0mL"], "expected more than 0"),
        (["drop", *DROP, "--rate", "1mL"], "a volume rate is needed"),
        (["suck-back", "30mL", "--from", "25C", "--to", "320C"], "nothing is drawn in"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said, capsys):
    assert main(["chem", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert not captured.out


def test_a_refusal_in_json_is_the_findings_object(capsys):
    assert main(["chem", "size", "58 nm", "--curve", "x", "--format", "json"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert "sizing curve 'x' is not known" in finding["message"]


@pytest.mark.parametrize("name", CALCULATORS)
def test_every_calculator_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["chem", name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: labctl chem {name}")


def test_help_lists_every_calculator(capsys):
    assert main(["chem", "--help"]) == 0
    out = capsys.readouterr().out
    for name in CALCULATORS:
        assert f"\n  {name} " in out


def test_a_calculator_loads_nothing_heavy():
    loaded = loaded_by("chem", "size", "580nm")
    assert "labctl.chemistry.sizing" in loaded
    assert not loaded & {"numpy", "scipy", "pydantic", "asyncio", "yaml", "sqlite3"}


@pytest.mark.parametrize(
    "example", EXAMPLE.findall(GUIDE.read_text(encoding="utf-8")), ids=lambda found: found[0]
)
def test_the_examples_of_the_guide_are_what_is_printed(example, capsys):
    typed, shown = example
    code = main(shlex.split(typed))
    captured = capsys.readouterr()
    assert shown.strip() == (captured.err or captured.out).strip()
    assert code == (2 if captured.err else 0)


def test_the_guide_shows_every_calculator():
    shown = {shlex.split(typed)[1] for typed, _ in EXAMPLE.findall(GUIDE.read_text("utf-8"))}
    assert shown == set(CALCULATORS)


UNITS = ["", "nm", "mL", "mmol", "g", "C", "K", "mTorr", "%", "mol/L"]
WILD = st.builds("{!r}{}".format, st.floats(), st.sampled_from(UNITS))
NAMES = ["ODE", "toluene", "TOP", "HF 48 %", "zinc oleate in ODE", "InP in ODE", "Se", "N2", ""]


def typed(unit):
    likely = st.builds("{!r}{}".format, st.floats(1e-3, 1e3), st.just(unit))
    return st.one_of(likely, likely, likely, WILD)


def with_(name, unit):
    return typed(unit).map(f"--{name}={{}}".format)


PART = st.builds("{}:{}".format, st.sampled_from(NAMES), st.one_of(typed("mL"), typed("mmol")))
MIXTURE = st.lists(PART, min_size=1, max_size=3).map(", ".join)
CORE = (with_("core", "nm"), st.sampled_from(["--shell=ZnS", "--shell=ZnSe"]))
TYPED = st.one_of(
    st.tuples(st.just("size"), st.one_of(st.just("520nm"), typed("nm")), with_("at", "C")),
    st.tuples(st.just("layers"), *CORE, with_("nc", "nmol"), with_("amount", "mmol")),
    st.tuples(st.just("layers"), *CORE, with_("nc", "nmol"), with_("layers", "")),
    st.tuples(st.just("strain"), *CORE, with_("thickness", "nm"), with_("misfit", "%")),
    st.tuples(
        st.just("coverage"), with_("core", "nm"), with_("nc", "nmol"), with_("ferrocene", "nmol"),
        with_("ratio", ""),
    ),
    st.tuples(st.just("concentration"), typed("AU"), st.just("--peak=470nm"), with_("path", "mm")),
    st.tuples(
        st.just("stock"), st.sampled_from(NAMES).map("--of={}".format), with_("amount", "mmol")
    ),
    st.tuples(st.just("bubble-point"), MIXTURE, with_("at", "C"), with_("pressure", "mbar")),
    st.tuples(
        st.just("drop"), MIXTURE.map("--flask={}".format), MIXTURE.map("--add={}".format),
        with_("rate", "mL/min"),
        with_("at", "C"),
    ),
    st.tuples(st.just("flash"), MIXTURE, with_("at", "C"), with_("headspace", "mL")),
    st.tuples(st.just("expand"), typed("mL"), with_("to", "C")),
    st.tuples(st.just("suck-back"), typed("mL"), with_("from", "C")),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(TYPED)
def test_whatever_is_typed_is_answered_or_refused(arguments):
    assert main(["chem", *arguments]) in {0, 2}
    assert main(["chem", *arguments, "--format", "json"]) in {0, 2}


def test_the_paper_and_almeida_differ_by_a_factor_of_three_and_a_half(chem):
    sphere = chem("size", "580nm")["volume_nm3"]
    assert sphere == pytest.approx(math.pi / 6 * 3.3**3, rel=1e-3)
    assert sphere / chem("size", "580nm", "--curve", "almeida2023")["volume_nm3"] > 3.5
