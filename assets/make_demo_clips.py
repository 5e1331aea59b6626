"""Makes the demo clips: ``python -m phymotion_jax.assets.make_demo_clips [--out DIR]``.

Four motions of the default body, simulated in C MuJoCo: quiet standing, a squat, a walk and a fall
on the back. Nothing holds the body but the floor. Beside each upright one stand its twins, the same
clip with one edit that physics forbids: it floats, skates or sinks.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from phymotion_jax.assets.choreography import (
    ARMS,
    Solver,
    axis_quat,
    centre_over,
    ease,
    standing,
    times,
)
from phymotion_jax.assets.simulate import (
    Puppet,
    Recording,
    build_puppet,
    follow,
    topple,
)
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.template import default_template

Clip = dict[str, np.ndarray]

FPS = 30
MASS_KG = 68.0
N_JOINTS = 22

BITS, FORCE_BITS = 15, 3
"""Binary places kept: 0.03 mm and mrad, 0.1 N."""

FLOAT_M, SKATE_M_S, SINK_M = 0.3, 0.7, 0.09
"""How high, how fast and how deep the twins go."""


def make_clip(motion: str) -> Clip:
    """Simulate one of `MOTIONS` and write it as SMPL-X parameters with its forces."""
    puppet = build_puppet(Humanoid.from_betas(mass_kg=MASS_KG), FPS)
    return to_clip(puppet, MOTIONS[motion](puppet))


def stand(puppet: Puppet) -> Recording:
    """Quiet standing: the centre of mass sways by a centimetre, slowly."""
    t = times(4.0)
    sway = [
        0.008 * np.sin(2 * np.pi * 0.3 * t) + 0.003 * np.sin(2 * np.pi * 0.7 * t + 1.0),
        0.010 * np.sin(2 * np.pi * 0.25 * t + 0.5),
        np.zeros_like(t),
    ]
    return follow(puppet, Solver(puppet).plan(standing(t, com=np.stack(sway, axis=1))))


def squat(puppet: Puppet) -> Recording:
    """Down by 0.3 m and up again, arms forward, the centre of mass over the feet."""
    t = times(4.0)
    down = ease(t, (0.3, 0.0), (1.7, 1.0), (2.1, 1.0), (3.5, 0.0))
    com = down[:, None] * [0.0, 0.0, -0.3]
    arms = np.tile(ARMS, (1, 2, 1)) + down[:, None, None] * [1.15, 0.0, 0.0]
    score = standing(t, com=com, lean=0.55 * down, bend=0.3 * down, arms=arms)
    return follow(puppet, Solver(puppet).plan(score))


def walk(puppet: Puppet) -> Recording:
    """Five steps from standing to standing, at 0.9 m/s in the middle."""
    solver = Solver(puppet)
    t = times(4.2)
    first, swing, double, step, lift = 0.75, 0.42, 0.2, 0.28, 0.045
    middle = [solver.middle_of_sole(side) for side in (0, 1)]
    between = np.mean(middle, axis=0)
    at, forwards = [0.0, 0.0], np.array([1.0, 0.0])
    ball, heel = np.zeros((len(t), 2, 3)), np.zeros((len(t), 2))
    stance = np.ones((len(t), 2), bool)
    pressure = [(0.0, between), (0.25, between)]  # where the ground should push: (time, place)
    last = 4
    landed = first + last * (swing + double) + swing
    for k in range(last + 1):
        side, other = k % 2, 1 - k % 2
        start = first + k * (swing + double)
        stop = start + swing
        end_step = k in (0, last)
        length = step if end_step else 2 * step
        carrying = middle[other] + at[other] * forwards
        pressure.append((start - 0.02, carrying - 0.02 * forwards))
        pressure.append((stop + 0.02, carrying + 0.03 * forwards))
        ball[:, side, 0] += ease(t, (start, 0.0), (stop, length))
        ball[:, side, 2] += ease(t, (start, 0.0), (start + 0.45 * swing, lift), (stop, 0.0))
        early = 0.6 * double if k else 0.1
        peak, fade = start + 0.2 * swing, start + 0.75 * swing
        heel[:, side] += ease(
            t, (start - early, 0.0), (peak, 0.25 if end_step else 0.5), (fade, 0.0)
        )
        stance[(t >= start) & (t < stop), side] = False
        at[side] += length
    end = between + np.mean(at) * forwards
    pressure += [(landed + 0.4, end), (t[-1], end)]
    height = ease(t, (0.1, 0.0), (0.7, -0.03), (landed, -0.03), (t[-1] - 0.1, 0.0))
    com = np.c_[centre_over(t, pressure, solver.com0[2] - 0.03) - solver.com0[:2], height]
    stride = ease(t, (0.0, 0.0), (0.9, 1.0), (3.6, 1.0), (t[-1], 0.0))
    swung = 0.7 * stride * (ball[:, 1, 0] - ball[:, 0, 0])
    arms = np.tile(ARMS, (len(t), 2, 1))
    arms[:, :, 0] += np.stack([swung, -swung], axis=1)
    score = standing(
        t, com=com, ball=ball, heel=heel, stance=stance, arms=arms, lean=np.full(len(t), 0.03)
    )
    return follow(puppet, solver.plan(score))


def fall(puppet: Puppet) -> Recording:
    """A push backwards, on the seat and over on the back. No control: joints are damped springs."""
    solver = Solver(puppet)
    first = solver.start
    last = solver.posture(0.0, 0.0, np.tile((-0.5, 0.35, 0.3), (2, 1)))
    last[:7] = first[:7]

    def bend(joint: str, axis: str, angle: float) -> None:
        start = puppet.model.joint(joint).qposadr[0]
        last[start : start + 4] = axis_quat(axis, angle)

    for side in ("left", "right"):
        bend(f"{side}_hip", "x", -1.2)
        bend(f"{side}_knee", "x", 1.3)
        bend(f"{side}_ankle", "x", -0.2)
    for joint in ("spine1", "spine2", "spine3"):
        bend(joint, "x", 0.08)
    for joint in ("neck", "head"):
        bend(joint, "x", 0.15)
    push = np.zeros(puppet.model.nv)
    push[0] = -0.5
    return topple(puppet, first, last, push, seconds=2.3)


MOTIONS: dict[str, Callable[[Puppet], Recording]] = {
    "stand": stand,
    "squat": squat,
    "walk": walk,
    "fall": fall,
}
"""What is simulated, by the name of its file."""


def floating(clip: Clip) -> Clip:
    """The body rises by 0.3 m, hovers, and comes down."""
    return _moved(clip, up=FLOAT_M * _middle_third(clip))


def sinking(clip: Clip) -> Clip:
    """The body sinks into the floor by 9 cm, and comes up."""
    return _moved(clip, up=-SINK_M * _middle_third(clip))


def skating(clip: Clip) -> Clip:
    """The whole body slides sideways at 0.7 m/s while the feet stay on the ground."""
    t = np.arange(len(clip["trans"])) / FPS
    return _moved(clip, left=SKATE_M_S * t)


TWINS: dict[str, Callable[[Clip], Clip]] = {
    "floating": floating,
    "sinking": sinking,
    "skating": skating,
}
"""Edits of a clean clip, by the ending of their file's name."""

TWINNED = ("stand", "squat", "walk")


def to_clip(puppet: Puppet, recording: Recording) -> Clip:
    """A recording as AMASS has it, with what the floor did to the body beside it."""
    length = len(recording.qpos)
    poses = np.zeros((length, N_JOINTS, 3))
    for link in range(N_JOINTS):
        start = 3 if link == 0 else puppet.qpos_address[link]
        for frame, quat in enumerate(recording.qpos[:, start : start + 4]):
            mujoco.mju_quat2Vel(poses[frame, link], quat, 1.0)
    pelvis = default_template().joint_mean[0]
    force = recording.force
    clip = {
        "poses": poses.reshape(length, -1),
        "trans": recording.qpos[:, :3] - pelvis,
        "betas": np.zeros(10),
        "mocap_frame_rate": np.array(float(FPS)),
        "mass_kg": np.array(MASS_KG),
        "grf_N": force[:, :2],
        "grf_other_N": force[:, 2],
        "cop_m": _pressure_centre(force, recording.moment)[:, :2],
    }
    rounded = {
        name: _rounded(value, FORCE_BITS if "_N" in name else BITS) for name, value in clip.items()
    }
    return rounded | {"surface_model_type": np.array("smplx")}


def _rounded(value: np.ndarray, bits: int) -> np.ndarray:
    """To so many binary places: the rest is mantissa that no zip can shorten."""
    return (np.round(value * 2.0**bits) / 2.0**bits).astype(np.float32)


def _pressure_centre(force: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Where on the floor each force acts; NaN where there is less than 10 N."""
    up = np.where(force[..., 2] > 10.0, force[..., 2], np.nan)
    return np.stack([-moment[..., 1] / up, moment[..., 0] / up, 0.0 * up], axis=-1)


def _middle_third(clip: Clip) -> np.ndarray:
    """1 in the middle of a clip, 0 before and after; a quarter of a second to rise and to fall."""
    seconds = (len(clip["trans"]) - 1) / FPS
    a, b = seconds / 3, seconds * 2 / 3
    t = np.arange(len(clip["trans"])) / FPS
    return ease(t, (a - 0.25, 0.0), (a, 1.0), (b, 1.0), (b + 0.25, 0.0))


def _moved(clip: Clip, *, up: np.ndarray | float = 0.0, left: np.ndarray | float = 0.0) -> Clip:
    """A clip that is displaced. What the floor did is no longer true, and left out."""
    kept = {k: v for k, v in clip.items() if not k.startswith(("grf", "cop"))}
    trans = clip["trans"].copy()
    trans[:, 2] += up
    trans[:, 1] += left
    return kept | {"trans": trans}


def main() -> None:
    """Simulate all motions and write them, each with its twins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "demo")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in MOTIONS:
        clip = make_clip(name)
        np.savez_compressed(out / f"{name}.npz", **clip)  # pyright: ignore[reportArgumentType]
        for ending, edit in TWINS.items() if name in TWINNED else ():
            twin = edit(clip)
            np.savez_compressed(out / f"{name}_{ending}.npz", **twin)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
