"""What the scoring commands are asked for: clips, how to load them, and a scorer."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax

from phymotion_jax.assets import demo_clips
from phymotion_jax.body.skin import Skin
from phymotion_jax.body.surface_files import BODIES, find_body, load_surface
from phymotion_jax.errors import UnknownNameError, UsageError
from phymotion_jax.io import find_motion_files, load_motion
from phymotion_jax.io.shards import split_shard
from phymotion_jax.motion import Motion
from phymotion_jax.options import Options
from phymotion_jax.presets import PRESET_NAMES, get_preset
from phymotion_jax.scorer import Scorer


def scorer_of(options: Options, devices: int | None = None) -> Scorer:
    """The scorer that was asked for, over so many devices; by default where JAX puts it.

    Raises:
      UnknownNameError: there is no such preset or body.
      UsageError: the surface would not be looked at, or there are fewer devices.
    """
    if options.preset not in PRESET_NAMES:
        raise UnknownNameError("preset", options.preset, PRESET_NAMES)
    level = options.self_penetration or get_preset(options.preset).self_penetration
    if options.surface is not None and level != "mesh":
        raise UsageError("--surface is looked at by --self-penetration mesh alone")
    return Scorer(
        options.preset,
        backend=options.backend,
        floor=options.floor,
        level_floor=options.level_floor,
        self_penetration=options.self_penetration,
        skin=None if options.surface is None else Skin.of(load_surface(options.surface)),
        devices=None if devices is None else _first_devices(devices),
    )


def _first_devices(count: int) -> list[Any]:
    found = jax.devices()
    if count > len(found):
        raise UsageError(f"--devices {count}: JAX finds {len(found)} ({found[0].device_kind})")
    return found[:count]


def surface_file(options: Options) -> Path | None:
    """The file of the surface that was asked for; none for the mannequin, which ships."""
    if options.surface in (None, "mannequin"):
        return None
    return find_body(options.surface) if options.surface in BODIES else Path(options.surface)


def loader_of(options: Options) -> Callable[[Path], Motion]:
    """`load_motion`, with what was said in place of the files."""
    return partial(load_motion, fps=options.fps, up=options.up, mass_kg=options.mass_kg)


def files_of(given: Sequence[Path]) -> list[Path]:
    """The clips named, in shards too, or in the folders named; the demo clips where none are.

    Raises:
      UsageError: nothing is there.
    """
    if not given:
        return demo_clips()
    if not any(os.path.exists(path) or split_shard(path) for path in given):
        raise UsageError(f"there is no {' and no '.join(map(str, given))}")
    paths = find_motion_files(given)
    if not paths:
        raise UsageError(f"no motion files in {', '.join(map(str, given))}")
    return paths
