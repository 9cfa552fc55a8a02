"""Laboratory automation and instrument control for air-free colloidal-nanocrystal synthesis."""
