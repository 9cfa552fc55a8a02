"""Pure functions of the chemistry: amounts, crystals, epilayers, vapour pressures, mixtures."""
