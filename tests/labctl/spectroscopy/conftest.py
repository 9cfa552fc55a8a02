from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

HC_EV_NM = 1239.841984
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Core:
    """A synthetic sample: 1S Gaussian in energy, higher states as a broadened step and a rise."""

    hwhm_ev: float = 0.085
    height_au: float = 0.45
    noise_au: float = 6e-4
    step_ev: float = 0.30

    def absorbance(self, wavelength_nm, peak_nm, turbidity_au=0.02):
        energy = HC_EV_NM / wavelength_nm
        centre = HC_EV_NM / peak_nm
        sd = self.hwhm_ev / 1.177410
        bell = np.exp(-0.5 * ((energy - centre) / sd) ** 2)
        step = np.array([0.5 + 0.5 * math.erf((e - centre - self.step_ev) / 0.14) for e in energy])
        rise = np.maximum(energy - centre - 0.1, 0.0) ** 1.6
        scatter = turbidity_au * (500.0 / wavelength_nm) ** 4
        return self.height_au * (bell + 0.8 * step + 0.9 * rise) + scatter

    def sigma(self, wavelength_nm, absorbance):
        lamp = np.exp(-0.5 * ((wavelength_nm - 700.0) / 150.0) ** 2) + 0.02
        return self.noise_au * 10 ** (absorbance / 2) / np.sqrt(lamp)


@pytest.fixture(scope="session")
def wavelength_nm():
    return np.linspace(345.0, 1022.0, 2068)


def _benchmark(name: str) -> ModuleType:
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"of_benchmarks_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scenarios() -> ModuleType:
    return _benchmark("scenarios")


@pytest.fixture(scope="session")
def spectra() -> ModuleType:
    return _benchmark("spectra")


@pytest.fixture(scope="session")
def core() -> Callable[..., Core]:
    return Core
