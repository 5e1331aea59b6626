"""Bodies: the SMPL tree, the default shape space, masses, and MJCF in and out."""
