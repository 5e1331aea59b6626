"""Many files through one scorer: to one table, or to a folder of parts that can be resumed."""

from phymotion_jax.dataset.alone import sole_run
from phymotion_jax.dataset.batches import (
    DeviceMemoryError,
    batch_of_one,
    default_frames,
    score_files,
    score_loaded,
)
from phymotion_jax.dataset.clock import Clock, Step
from phymotion_jax.dataset.decode import decoding_processes, load_ahead
from phymotion_jax.dataset.digests import digests_of
from phymotion_jax.dataset.memory import give_back_after_compiling
from phymotion_jax.dataset.parts import CLIPS_PER_PART, Plan, Settings, with_settings
from phymotion_jax.dataset.runner import rows_there, score_parts, unfinished_parts

__all__ = [
    "CLIPS_PER_PART",
    "Clock",
    "DeviceMemoryError",
    "Plan",
    "Settings",
    "Step",
    "batch_of_one",
    "decoding_processes",
    "default_frames",
    "digests_of",
    "give_back_after_compiling",
    "load_ahead",
    "rows_there",
    "score_files",
    "score_loaded",
    "score_parts",
    "sole_run",
    "unfinished_parts",
    "with_settings",
]
