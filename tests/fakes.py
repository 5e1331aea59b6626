"""Stand-ins for the scorer and the loaders: right shapes, made-up numbers, nothing to compile."""

import json
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.motion import Motion
from phymotion_jax.presets import PAPER, Preset, get_preset
from phymotion_jax.report import Report


def make_motion(n_frames=20, value=0.0, fps=30.0, name=""):
    """A body that stands at (value, 0, 1)."""
    quat = np.zeros((n_frames, N_BODIES, 4), np.float32)
    quat[..., 0] = 1.0
    return Motion(
        root_pos=np.tile(np.array([value, 0.0, 1.0], np.float32), (n_frames, 1)),
        joint_quat=quat,
        betas=np.zeros(10, np.float32),
        fps=fps,
        static_conf=np.full((n_frames, 6), np.nan, np.float32),
        name=name,
        source="fake",
    )


def make_report(n_clips, n_frames, rng, *, lengths=None, status=None, preset: Preset = PAPER):
    """A report on the host: scores and violations at random, consistent with one another."""
    lengths = np.full(n_clips, n_frames) if lengths is None else lengths
    status = np.zeros(n_clips, np.int32) if status is None else status
    valid = status == Status.OK
    real = np.arange(n_frames) < lengths[:, None]

    def random(*shape):
        x = rng.random(shape, np.float32)
        return np.where(valid.reshape(-1, *[1] * (len(shape) - 1)), x, np.float32(np.nan))

    names = preset.parts
    parts = {part: random(n_clips) for part in names}
    axes = {a: 1 - np.mean([parts[p] for p in ps], axis=0) for a, ps in preset.axes.items()}
    frames = {part: np.where(real, random(n_clips, n_frames), 0) for part in names}
    worst = {part: np.where(valid, np.nan_to_num(frames[part]).argmax(1), -1) for part in names}
    links = {part: random(n_clips, N_BODIES) for part in names}
    blamed = {part: np.where(valid, np.nan_to_num(links[part]).argmax(1), -1) for part in names}
    arrays: Any = dict(  # NumPy where the annotations say JAX: a report on the host
        reward=np.mean(list(axes.values()), axis=0),
        axes=axes,
        parts=parts,
        frames=frames,
        links=links,
        worst_frame=worst,
        worst_link=blamed,
        percentiles={name: random(n_clips) for name in preset.clean},
        details={name: random(n_clips) for name in preset.details},
        activity=random(n_clips),
        floor_height=random(n_clips),
        valid=valid,
        status=status,
        forces=None,
    )
    return Report(**arrays, preset=preset, methods=(("kin.self_penetration", "capsules"),))


class FakeScorer:
    """Calls a clip's x position its activity, which tells whose row it is; keeps the shapes, and
    with which substeps they came.

    A clip at `BAD_X` is one that the score itself refuses.
    """

    BAD_X = -1.0

    def __init__(
        self,
        preset="physical",
        *,
        backend="fused",
        floor=None,
        level_floor=False,
        self_penetration=None,
        skin=None,
        devices=None,
    ):
        self.asked_for = (preset, backend, floor, level_floor)
        self.self_penetration, self.skin = self_penetration, skin
        self.preset = get_preset(preset)
        self.mesh = None if devices is None else SimpleNamespace(size=len(devices))
        self.shapes, self.substeps = [], []
        self.rng = np.random.default_rng(0)

    def __call__(self, batch):
        mask, x = np.asarray(batch.mask), np.asarray(batch.root_pos)[:, 0, 0]
        self.shapes.append(mask.shape)
        self.substeps.append(batch.substeps)
        status = np.where(mask.any(axis=1), Status.OK, Status.EMPTY).astype(np.int32)
        status = np.where(x == self.BAD_X, np.int32(Status.NOT_FINITE), status)
        n_clips, n_frames = mask.shape
        lengths = mask.sum(axis=1)
        report = make_report(
            n_clips, n_frames, self.rng, lengths=lengths, status=status, preset=self.preset
        )
        return replace(report, activity=np.where(report.valid, x, np.float32(np.nan)))


class CountingLoader:
    """Makes clips whose length is in `lengths`; knows how many were alive at once.

    A length that is a string is the reason why that file cannot be loaded.
    """

    def __init__(self, lengths):
        self.lengths = lengths
        self.n_made = self.n_alive = self.most_alive = 0
        self._lock = threading.RLock()  # a clip may be dropped while another is being counted

    def __call__(self, path):
        number = int(Path(path).stem)
        length = self.lengths[number]
        if isinstance(length, str):
            raise MotionError(Status.UNREADABLE, length)
        motion = make_motion(length, value=float(number))
        with self._lock:
            self.n_made += 1
            self.n_alive += 1
            self.most_alive = max(self.most_alive, self.n_alive)
        weakref.finalize(motion, self._drop)
        return motion

    def _drop(self):
        with self._lock:
            self.n_alive -= 1

    def paths(self):
        return [Path(f"{number}.npz") for number in range(len(self.lengths))]


def write_clip(path, n_frames=20, value=0.0, fps=30.0):
    """A file that `load_clip` reads."""
    path.write_text(json.dumps([n_frames, value, fps]))
    return path


def load_clip(path, *, fps=None, up=None, mass_kg=None):
    """What `phymotion_jax.io.load_motion` does, for the files of `write_clip`."""
    if not Path(path).exists():
        raise MotionError(Status.MISSING, f"{path}: there is no such file")
    text = Path(path).read_text()
    if not text.startswith("["):
        raise MotionError(Status.UNREADABLE, "not a motion file")
    n_frames, value, file_fps = json.loads(text)
    return make_motion(n_frames, value, fps or file_fps, name=str(path))
