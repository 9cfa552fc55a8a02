"""From counts to a decision: absorbance, the 1S peak, its temperature, saturation."""
