"""What happens to InP dots in the flask: exchange, adsorption, crystallisation, oxide, growth.

A model made to hold all of the paper's claims at once; it is no validation of any of them, and
every magnitude in nm is a guess. Equations, parameters and what each rests on:
docs/explanations/reaction-model.md. Amounts in mmol, cores in nmol, volumes in mL at 25 °C (the
concentrations the rate constants refer to), temperatures in °C, times in s. Layers are (111)
epilayers; fractions run from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from labctl.chemistry import varshni
from labctl.chemistry.crystal import layers_of, shell_atoms
from labctl.chemistry.sizing import PAPER, wavelength_nm_of
from labctl.errors import RefusedError
from simulators.plant.kinetics import CHALCOGENS, GAS, Kinetics, Shell

_KELVIN = 273.15
_ROOM_C = 25.0
_COLD_C = 40.0  # below it the fastest rate, exchange, is < 3e-3 /M/s: a cold flask costs nothing
_LONGEST_STEP_S = 2.0


@dataclass(slots=True)
class ReactionState:
    """All that the model remembers; a pristine, never degassed flask of capped cores."""

    zinc_exchanged: float = 0.0  # z
    adsorbed_oleate: float = 0.0  # Lf, layers bound at oleate sites
    adsorbed_zinc: float = 0.0  # Ls, layers bound at exchanged zinc
    adsorbed_highest: float = 0.0  # largest Lf + Ls so far; an HF pulse does not take it back
    covered: float = 0.0  # c + e, layers turned from adsorbate into shell
    crystalline: float = 0.0  # e, of these
    oxide: float = 1.0  # o
    buried_defects: float = 0.0  # q
    water: float = 1.0  # w
    locked_oxide: float = 0.0  # H
    islands: float = 0.0  # share of the surface overgrown before it was full
    etch_ev: float = 0.0
    monomer_mmol: float = 0.0
    zinc_mmol: float = 0.0
    chalcogenide_mmol: float = 0.0
    zinc_fluoride_mmol: float = 0.0
    free_oleic_acid_mmol: float = 0.0

    @property
    def adsorbed(self) -> float:
        """Chalcogen on the cores in layers, L."""
        return self.adsorbed_oleate + self.adsorbed_zinc


@dataclass(slots=True)
class _Rates:
    """The rates at one temperature."""

    exchange: float
    adsorption: float
    cluster: float
    crystal: float  # at oxide 0
    oxide_slows: float
    reoxidation: float
    monomer: float
    buried: float


class Reaction:
    """A flask of `nc_nmol` cores of `diameter_nm` that may get a ZnS or ZnSe shell.

    Raises:
        RefusedError: the amount of cores is not positive.
    """

    def __init__(
        self, nc_nmol: float, diameter_nm: float, shell: Shell, kinetics: Kinetics | None = None
    ) -> None:
        if nc_nmol <= 0:
            raise RefusedError(f"a reaction needs cores, got {nc_nmol} nmol; charge some first")
        self.nc_nmol = nc_nmol
        self.diameter_nm = diameter_nm
        self.shell = shell
        self.kinetics = kinetics or Kinetics()
        self.chalcogen = CHALCOGENS[shell]
        self.state = ReactionState()
        lattice = self.chalcogen.lattice
        self._layer_atoms = shell_atoms(diameter_nm, lattice.d111_nm, lattice)
        self._layer_mmol = self._layer_atoms * nc_nmol * 1e-6
        self._confinement = (2.4 / diameter_nm) ** 2
        self._size_ev = PAPER.energy_ev(diameter_nm)

    def add_zinc(self, mmol: float) -> None:
        """Zn(OA)2 reaches the flask; where chalcogenide is about, it seals what is still open.

        Raises:
            RefusedError: a negative amount.
        """
        s = self.state
        s.zinc_mmol += _amount(mmol, "zinc oleate")
        if s.chalcogenide_mmol > 0:
            share = 220.0 / self.nc_nmol
            sealed = -math.expm1(-mmol * share / self.kinetics.islands_zinc_mmol)
            s.islands += max(1 - s.adsorbed - s.islands, 0.0) * sealed

    def add_chalcogenide(self, mmol: float) -> None:
        """Trioctylphosphine sulfide or selenide, whichever the shell is made of, is added.

        Raises:
            RefusedError: a negative amount.
        """
        self.state.chalcogenide_mmol += _amount(mmol, "phosphine chalcogenide")

    def add_water(self, hf_equivalent_mmol: float) -> None:
        """Water as much as comes with so many mmol of aqueous HF: a leak, wet stock.

        Raises:
            RefusedError: a negative amount.
        """
        self.state.water += _amount(hf_equivalent_mmol, "water") / self.kinetics.acid_per_water

    def add_hf(self, mmol: float) -> None:
        """HF acts at once and is spent: part on Zn(OA)2, the rest on oxide and fresh adsorbate.

        Raises:
            RefusedError: a negative amount.
        """
        self.add_water(_amount(mmol, "hydrogen fluoride"))
        share = 220.0 / self.nc_nmol
        left = (mmol - self._lose_to_zinc(mmol, share)) * share
        s, k = self.state, self.kinetics
        adsorbed = s.adsorbed
        fresh = adsorbed - s.covered
        struck = self._struck(left, fresh)
        if adsorbed > 0:
            kept = (adsorbed - k.desorbed * struck * fresh) / adsorbed
            s.adsorbed_oleate *= kept
            s.adsorbed_zinc *= kept
        open_surface = 1 - min(s.covered, 1.0)
        s.etch_ev += k.etch_ev * struck * open_surface**2 * self._confinement
        s.oxide *= 1 - struck

    def advance(
        self,
        dt_s: float,
        temperature_c: float,
        volume_ml: float,
        under_vacuum: bool,
        mixing: float = 1.0,
    ) -> None:
        """Let `dt_s` pass at constant temperature, volume and stirring.

        `mixing` from 0 to 1 scales what the dots see of the dissolved reagents.
        """
        if dt_s <= 0 or temperature_c < _COLD_C:
            return
        if self._idle():
            self._dry(dt_s, temperature_c, under_vacuum)
            return
        steps = math.ceil(dt_s / _LONGEST_STEP_S)
        h = dt_s / steps
        rates = self._rates(temperature_c + _KELVIN)
        per_ml = mixing / volume_ml
        for _ in range(steps):
            bare = self._exchange(h, rates.exchange * self.state.zinc_mmol * per_ml)
            adsorbed = self._adsorb(h, rates, per_ml, bare)
            self._age(h, rates, temperature_c, bare, adsorbed)
            self._dry(h, temperature_c, under_vacuum)

    @property
    def layers(self) -> float:
        """(111) epilayers of shell, adsorbed and grown from monomers together."""
        atoms = self.state.adsorbed * self._layer_atoms + self.chalcogen_from_monomer
        return layers_of(atoms, self.diameter_nm, self.chalcogen.lattice)

    @property
    def chalcogen_from_monomer(self) -> float:
        """Chalcogen atoms per core that came as zinc chalcogenide monomer."""
        return self.state.monomer_mmol * 1e6 / self.nc_nmol

    @property
    def holes(self) -> float:
        """Share of the shell that grew over oxide and is not uniform."""
        s = self.state
        grown_over = s.oxide if s.covered < 1e-6 else s.locked_oxide / s.covered
        return min(grown_over + s.islands, 1.0)

    @property
    def qy(self) -> float:
        """Photoluminescence quantum yield at 25 °C."""
        s, k = self.state, self.kinetics
        bare = 1 - s.zinc_exchanged
        traps = k.traps * (1 - min(s.covered, 1.0)) ** 3
        traps *= 1 + k.traps_unexchanged * bare
        traps *= 1 + k.traps_lone_chalcogen * s.adsorbed * bare
        return 1 / (1 + traps + k.oxide_quenches * s.oxide + k.defects_quench * s.buried_defects)

    @property
    def decay_per_ns(self) -> float:
        """Photoluminescence decay rate at 25 °C."""
        return self.kinetics.radiative_per_ns / self.qy

    @property
    def shift_ev(self) -> float:
        """First-exciton energy against that of the bare cores, without temperature."""
        s, k = self.state, self.kinetics
        exchange = k.exchange_ev * s.zinc_exchanged * (1 - s.adsorbed_highest)
        spread = math.expm1(-self.layers / k.layer_decay) / math.expm1(-1 / k.layer_decay)
        return self._confinement * (exchange - k.layer_ev * spread) + s.etch_ev

    def peak_nm(self, temperature_c: float = _ROOM_C) -> float:
        """Centre of the first-exciton absorption in nm, at a temperature."""
        thermal_ev = varshni.shift_ev(_ROOM_C, temperature_c)
        return wavelength_nm_of(self._size_ev + self.shift_ev + thermal_ev)

    def truth(self) -> dict[str, float]:
        """Everything an oracle may be asked, by name."""
        return asdict(self.state) | {
            "adsorbed": self.state.adsorbed,
            "clusters": self.state.covered - self.state.crystalline,
            "chalcogen_per_nc": self.state.adsorbed * self._layer_atoms
            + self.chalcogen_from_monomer,
            "layers": self.layers,
            "holes": self.holes,
            "qy": self.qy,
            "decay_per_ns": self.decay_per_ns,
            "shift_ev": self.shift_ev,
            "peak_25c_nm": self.peak_nm(),
        }

    def _idle(self) -> bool:
        s = self.state
        nothing_to_add = s.zinc_mmol == 0 and s.chalcogenide_mmol == 0
        return nothing_to_add and s.adsorbed == 0 and (s.oxide == 1 or s.water == 0)

    def _lose_to_zinc(self, hf_mmol: float, share: float) -> float:
        """Spend part of the acid as Zn(OA)2 + 2 HF -> ZnF2 + 2 OA; returns mmol of HF lost."""
        s = self.state
        half = self.kinetics.zinc_takes_half_mmol / share
        lost = min(hf_mmol * s.zinc_mmol / (s.zinc_mmol + half), 2 * s.zinc_mmol)
        s.zinc_mmol -= lost / 2
        s.zinc_fluoride_mmol += lost / 2
        s.free_oleic_acid_mmol += lost
        return lost

    def _struck(self, acid_mmol: float, fresh: float) -> float:
        """Share of oxide and fresh adsorbate that so much acid per 220 nmol strikes.

        First order while there is plenty, and never more than the acid can bind.
        """
        k = self.kinetics
        reached = -math.expm1(-acid_mmol / k.etch_mmol)
        adsorbate_mmol = fresh * self._layer_atoms * 220e-6
        binds = k.oxide_takes_mmol * self.state.oxide + k.acid_per_adsorbate * adsorbate_mmol
        return min(reached, acid_mmol / binds) if binds > 0 else reached

    def _rates(self, kelvin: float) -> _Rates:
        k = self.kinetics
        return _Rates(
            exchange=k.exchange.at(kelvin),
            adsorption=self.chalcogen.adsorption.at(kelvin),
            cluster=k.cluster.at(kelvin),
            crystal=k.crystal.at(kelvin) * math.exp(k.oxide_barrier / GAS / k.crystal.reference_k),
            oxide_slows=k.oxide_barrier / GAS / kelvin,
            reoxidation=k.reoxidation.at(kelvin),
            monomer=k.monomer.at(kelvin),
            buried=k.buried.at(kelvin),
        )

    def _exchange(self, h: float, rate: float) -> float:
        """Exchange In by Zn for `h` seconds; returns the step's mean bare fraction."""
        bare = 1 - self.state.zinc_exchanged
        through = rate * h
        self.state.zinc_exchanged = 1 - bare * math.exp(-through)
        return bare * _mean_decay(through)

    def _adsorb(self, h: float, rates: _Rates, per_ml: float, bare: float) -> float:
        """Take up chalcogen and form monomers; returns the step's mean adsorbed layers."""
        s = self.state
        before = s.adsorbed
        if s.chalcogenide_mmol <= 0:
            return before
        monomer_share = -math.expm1(-rates.monomer * s.zinc_mmol * per_ml * h)
        at_oleate = self.kinetics.oleate_limited
        room_oleate = max(at_oleate - s.adsorbed_oleate, 0.0)
        room_zinc = max((1 - at_oleate) * (1 - bare) - s.adsorbed_zinc, 0.0)
        through = rates.adsorption * per_ml * h
        # Predictor at the amount at hand, corrector at the step's mean: second order, and
        # a reagent that runs out within the step ends at nothing, not below.
        amount = s.chalcogenide_mmol
        for _ in range(2):
            zinc_part = -math.expm1(-through * amount)
            oleate_part = -math.expm1(-through * amount * self.chalcogen.oleate_factor)
            taken = (room_oleate * oleate_part + room_zinc * zinc_part) * self._layer_mmol
            monomer = amount * monomer_share
            spent = (taken + monomer) / s.chalcogenide_mmol
            amount = s.chalcogenide_mmol * _mean_decay(spent)
        granted = 1 / max(spent, 1.0)
        s.adsorbed_oleate += room_oleate * oleate_part * granted
        s.adsorbed_zinc += room_zinc * zinc_part * granted
        s.monomer_mmol += monomer * granted
        s.islands += max(1 - before - s.islands, 0.0) * monomer * granted / self._layer_mmol
        s.chalcogenide_mmol *= 1 - spent * granted
        s.adsorbed_highest = max(s.adsorbed_highest, s.adsorbed)
        return (before + s.adsorbed) / 2

    def _age(
        self, h: float, rates: _Rates, temperature_c: float, bare: float, adsorbed: float
    ) -> None:
        """Turn adsorbate into clusters and crystal; let oxide and buried defects follow.

        Each quantity relaxes at its frozen rate exactly, so no step is too long for stability.
        """
        s, k = self.state, self.kinetics
        full = min(adsorbed, 1.0)
        crystal = rates.crystal * math.exp(-rates.oxide_slows * s.oxide)
        theta = 1 - 0.9 * full if s.zinc_mmol > 0 else 0.0
        gain = rates.reoxidation * theta * (k.reoxidation_floor + bare)
        gain *= 1 - min(s.covered, 1.0)
        if temperature_c > 100.0:
            gain += k.water_oxidation * s.water
        loss = k.oxide_release * crystal * full
        oxide = s.oxide
        if gain + loss > 0:
            target = gain / (gain + loss)
            s.oxide = target + (oxide - target) * math.exp(-(gain + loss) * h)
        oxide = (oxide + s.oxide) / 2
        locking = -math.expm1(-rates.cluster * (1 - bare) * h)
        locked = max(adsorbed - s.covered, 0.0) * locking
        clusters = s.covered + locked / 2 - s.crystalline
        s.covered += locked
        s.locked_oxide += oxide * locked
        s.crystalline += clusters * -math.expm1(-crystal * h)
        cubed = self.holes**3
        defects = rates.buried * cubed / (cubed + k.holes_half)
        defects += k.oxide_to_defect * k.oxide_release * crystal * oxide
        s.buried_defects += (1 - s.buried_defects) * -math.expm1(-defects * full * h)

    def _dry(self, h: float, temperature_c: float, under_vacuum: bool) -> None:
        if under_vacuum and temperature_c >= 100.0:
            self.state.water *= math.exp(-h / self.kinetics.drying_s)


def _mean_decay(through: float) -> float:
    """Mean of exp(-t) for t from 0 to `through`."""
    return -math.expm1(-through) / through if through > 1e-9 else 1.0


def _amount(mmol: float, of: str) -> float:
    if mmol < 0:
        message = f"asked to add {mmol:g} mmol of {of}; an amount is zero or more"
        raise RefusedError(message)
    return mmol
