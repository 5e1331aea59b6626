"""What a run was begun with, in an Orbax checkpoint beside its parts.

The parts say the same of themselves, and how far the run has come; the checkpoint is there before
the first of them. One that is torn costs nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phymotion_jax.dataset.parts import Settings, Shard, cannot_write

_FOLDER = "_state"
_KEPT = 2


def state_folder(folder: Path, shard: Shard) -> Path:
    """Each shard has a state of its own: they run beside each other."""
    return folder / _FOLDER / f"shard-{shard[0]:05d}-of-{shard[1]:05d}"


def load_settings(folder: Path) -> Settings | None:
    """The newest that can be read; None where there are none."""
    if not folder.is_dir():
        return None
    with _manager(folder) as manager:
        for step in sorted(manager.all_steps(), reverse=True):
            try:
                saved: dict[str, Any] = manager.restore(step, args=_orbax().args.JsonRestore())
                return dict(saved["settings"])
            except Exception:  # whatever a torn file makes of Orbax
                logging.getLogger(__name__).debug("state %s cannot be read", step, exc_info=True)
    return None


def save_settings(folder: Path, settings: Settings) -> None:
    """Keep them, beside a checkpoint that is torn.

    Raises:
      OutputError: where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _manager(folder) as manager:
            step = max([-1, *_steps(folder)]) + 1
            manager.save(step, args=_orbax().args.JsonSave({"settings": settings}))
    except OSError as error:
        raise cannot_write(folder, error) from error


def _steps(folder: Path) -> list[int]:
    """All that bear a number, torn ones too, which Orbax does not list."""
    return [int(p.name) for p in folder.iterdir() if p.name.isdigit()]


@contextmanager
def _manager(folder: Path) -> Iterator[Any]:
    ocp = _orbax()
    options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, enable_async_checkpointing=False)
    with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
        yield manager


def _orbax() -> Any:
    import orbax.checkpoint as ocp  # noqa: PLC0415  a second, which a single table need not wait

    logging.getLogger("absl").setLevel(logging.ERROR)  # it tells of every step
    return ocp
