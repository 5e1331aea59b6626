"""Short digests of what rows depend on but what is too long, or too private, to stand in a part."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from stat import S_ISREG

from phymotion_jax.dataset.parts import Settings
from phymotion_jax.presets import Preset


def digests_of(paths: Sequence[Path], preset: Preset, surface: Path | None) -> Settings:
    """Digests, under the names by which a folder that was begun with others refuses to go on.

    Args:
      paths: the clips: their names and sizes, since to read them all takes as long as to load them.
      preset: all of its numbers; its name stays when they are tuned.
      surface: the file of the skin's triangles, where one was given.
    """
    tables = files("phymotion_jax").joinpath("assets").iterdir()
    found = {t.name: _digest([t.read_bytes()]) for t in tables if t.name.endswith(".json")}
    return {
        "listing": _digest(map(os.fsencode, paths)),
        "file_sizes": _digest(str(_size(path)).encode() for path in paths),
        "surface_file": _digest([surface.read_bytes()]) if surface else None,
        **dict(sorted(found.items())),
        "preset_numbers": _digest([repr(preset).encode()]),
    }


def _digest(pieces: Iterable[bytes]) -> str:
    """Tells one sequence of pieces from another, in 16 letters."""
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(len(piece).to_bytes(8, "little") + piece)
    return whole.hexdigest()[:16]


def _size(path: Path) -> int:
    """Of the file, or of the shard that the clip lies in; -1 where there is none."""
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except (OSError, ValueError):
            continue
        return status.st_size if S_ISREG(status.st_mode) else -1
    return -1
