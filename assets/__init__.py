"""Data that ships: the limits table and the demo clips, with the scripts that made them."""
