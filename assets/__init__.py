"""Data that ships: the limits table and the demo clips, with the scripts that made them."""

from importlib.resources import files
from pathlib import Path


def demo_clips() -> list[Path]:
    """The demo clips in the order of their names: simulated motions and their corrupted twins."""
    folder = Path(str(files("phymotion_jax.assets"))) / "demo"
    return sorted(folder.glob("*.npz"))
