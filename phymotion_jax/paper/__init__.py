"""The `paper` preset: the ten parts of section 3.2 of PhyMotion, one file an axis."""
