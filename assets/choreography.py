"""Plans of whole-body motion: feet, centre of mass, trunk and arms, solved for joint angles."""

from dataclasses import dataclass
from itertools import pairwise

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from phymotion_jax.assets.simulate import CONTROL_DT, Plan, Puppet

UPRIGHT = np.full(4, 0.5)
"""Pelvis of a body that stands facing +x: link axes x left, y up, z forward."""

_LOOSE = {"hip": (0.02, 0.3, 0.3), "knee": (0.003, 1.0, 1.0), "ankle": (0.01, 0.3, 0.1)}
"""How strongly leg joints are held to the posture, about x, y and z; all others by 1."""

NEAR_M = 0.003
"""A sole point this near the floor in the plan may be asked for force."""

SIDES = ("left", "right")

HANGING = 1.25
"""Angle from the T-pose to arms that hang, in radians."""

ARMS = (0.05, 0.0, 0.25)
"""Flexion and abduction of the shoulder and flexion of the elbow of an arm at rest."""

KNEE_DROP_M = 0.012
"""How much lower than on straight legs the body stands."""


@dataclass(frozen=True)
class Score:
    """What a motion should do, a row each `CONTROL_DT`. World axes, facing +x."""

    com: Float[np.ndarray, "N 3"]
    """Centre of mass; its height is over that of the standing body."""
    ball: Float[np.ndarray, "N 2 3"]
    """Ball of each foot (the toes' joint), relative to where it stands at first."""
    heel: Float[np.ndarray, "N 2"]
    """Angle by which each heel is raised about the ball, in radians."""
    stance: Bool[np.ndarray, "N 2"]
    """Which feet carry."""
    lean: Float[np.ndarray, " N"]
    """Pitch of the pelvis, forwards."""
    bend: Float[np.ndarray, " N"]
    """Bend of the spine, forwards."""
    arms: Float[np.ndarray, "N 2 3"]
    """Flexion, abduction (from hanging) of each shoulder, and flexion of each elbow."""


def times(seconds: float) -> np.ndarray:
    """Times of a plan's rows."""
    return np.arange(round(seconds / CONTROL_DT) + 1) * CONTROL_DT


def standing(t: np.ndarray, **changes: np.ndarray) -> Score:
    """A score that stands still but for the changes."""
    count = len(t)
    still = {
        "com": np.zeros((count, 3)),
        "ball": np.zeros((count, 2, 3)),
        "heel": np.zeros((count, 2)),
        "stance": np.ones((count, 2), bool),
        "lean": np.zeros(count),
        "bend": np.zeros(count),
        "arms": np.tile(ARMS, (count, 2, 1)),
    }
    return Score(**(still | changes))


def ease(t: np.ndarray, *keys: tuple[float, float]) -> np.ndarray:
    """Values at keys (seconds, value), with minimum-jerk passages between them."""
    out = np.full(len(t), float(keys[0][1]))
    for (t0, v0), (t1, v1) in pairwise(keys):
        s = np.clip((t - t0) / (t1 - t0), 0.0, 1.0)
        out += (v1 - v0) * s**3 * (10.0 + s * (6.0 * s - 15.0))
    return out


def centre_over(
    t: np.ndarray, pressure: list[tuple[float, np.ndarray]], height: float
) -> Float[np.ndarray, "N 2"]:
    """Path of a centre of mass whose ground force acts where it should: c - (h/g) c'' = p.

    The linear inverted pendulum as a boundary value problem, over pressure that moves linearly
    between its keys.
    """
    times = [key[0] for key in pressure]
    want = np.stack([np.interp(t, times, [p[k] for _, p in pressure]) for k in (0, 1)], axis=1)
    a = height / 9.81 / (t[1] - t[0]) ** 2
    count = len(t)
    matrix = (1.0 + 2.0 * a) * np.eye(count) - a * (np.eye(count, k=1) + np.eye(count, k=-1))
    matrix[0, :2], matrix[-1, -2:] = (1.0, 0.0), (0.0, 1.0)
    return np.linalg.solve(matrix, want)


def axis_quat(axis: str, angle: float) -> np.ndarray:
    """Rotation about x, y or z."""
    quat = np.zeros(4)
    mujoco.mju_axisAngle2Quat(quat, np.eye(3)["xyz".index(axis)], angle)
    return quat


def product(*quats: np.ndarray) -> np.ndarray:
    """Product of quaternions, left to right."""
    out = np.array([1.0, 0.0, 0.0, 0.0])
    for quat in quats:
        mujoco.mju_mulQuat(out, out.copy(), quat)
    return out


class Solver:
    """Joint angles of a plan by damped Gauss-Newton, each row from the one before it."""

    def __init__(self, puppet: Puppet):
        """Stand the body on the floor in its standing posture."""
        self.puppet, self.model = puppet, puppet.model
        self.data = mujoco.MjData(self.model)
        self.feet = [[self.model.body(f"{s}_{n}").id for n in ("ankle", "foot")] for s in SIDES]
        self.hold = np.ones(self.model.nv)
        self.hold[:6] = 1e-4
        for name, weights in _LOOSE.items():
            for side in SIDES:
                at = self.model.joint(f"{side}_{name}").dofadr[0]
                self.hold[at : at + 3] = weights
        # Feet stand where the upright rest pose has them, soles on the floor.
        rest = mujoco.MjData(self.model)
        rest.qpos[3:7] = UPRIGHT
        mujoco.mj_kinematics(self.model, rest)
        under = self._sole_heights(rest)
        lowest = np.array([under[puppet.sole_side == side].min() for side in (0, 1)])
        self.ball0 = np.array([rest.xpos[toe] for _, toe in self.feet])
        self.ball0[:, 2] -= lowest
        self.to_ankle = np.array([rest.xpos[a] - rest.xpos[toe] for a, toe in self.feet])
        self.start = self.posture(0.0, 0.0, np.array([ARMS, ARMS]))
        self.start[:3] = 0.0, 0.0, -lowest.mean() - KNEE_DROP_M
        self.data.qpos[:] = self.start
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        self.com0 = self.data.subtree_com[1].copy()
        middle = np.mean([self.middle_of_sole(side) for side in (0, 1)], axis=0)
        self.com0[:2] = middle

    def _sole_heights(self, data: mujoco.MjData) -> Float[np.ndarray, " P"]:
        """Height of each sole sphere's lowest point."""
        puppet = self.puppet
        turn = data.xmat[puppet.sole_body].reshape(-1, 3, 3)
        up = np.einsum("pj,pj->p", turn[:, 2], puppet.sole_point)
        return data.xpos[puppet.sole_body, 2] + up - puppet.sole_lift

    def middle_of_sole(self, side: int) -> np.ndarray:
        """Between heel and ball of a foot that stands, on the floor."""
        return (self.ball0[side] + 0.45 * self.to_ankle[side])[:2]

    def posture(self, lean: float, bend: float, arms: np.ndarray) -> np.ndarray:
        """Joint angles that everything but the legs should have."""
        qpos = self.model.qpos0.copy()
        qpos[3:7] = product(UPRIGHT, axis_quat("x", lean))

        def set_joint(name: str, *quats: np.ndarray) -> None:
            at = self.model.joint(name).qposadr[0]
            qpos[at : at + 4] = product(*quats)

        for name in ("spine1", "spine2", "spine3"):
            set_joint(name, axis_quat("x", bend / 3.0))
        for name in ("neck", "head"):
            set_joint(name, axis_quat("x", -0.4 * (lean + bend) / 2.0))
        for side, sign, (flexion, abduction, elbow) in zip(SIDES, (1.0, -1.0), arms, strict=True):
            drop = axis_quat("z", -sign * (HANGING - abduction))
            set_joint(f"{side}_shoulder", axis_quat("x", -flexion), drop)
            set_joint(f"{side}_elbow", axis_quat("y", -sign * elbow))
            set_joint(f"{side}_knee", axis_quat("x", 0.15))
            set_joint(f"{side}_hip", axis_quat("x", -0.08))
        return qpos

    def plan(self, score: Score) -> Plan:
        """Solve every row, then differentiate."""
        rows, carries, qpos = [], [], self.start.copy()
        for k in range(len(score.com)):
            for _ in range(30 if k == 0 else 3):
                self._improve(qpos, score, k)
            rows.append(qpos.copy())
            near = self._sole_heights(self.data) < NEAR_M
            carries.append(near & score.stance[k, self.puppet.sole_side])
        path = np.array(rows)
        steps = np.zeros((len(path) - 1, self.model.nv))
        for k, step in enumerate(steps):
            mujoco.mj_differentiatePos(self.model, step, CONTROL_DT, path[k], path[k + 1])
        qvel = np.concatenate([steps[:1], 0.5 * (steps[1:] + steps[:-1]), steps[-1:]])
        qacc = np.concatenate([steps[:1] * 0, np.diff(steps, axis=0), steps[:1] * 0]) / CONTROL_DT
        return Plan(path, qvel, qacc, np.array(carries))

    def _improve(self, qpos: np.ndarray, score: Score, k: int) -> None:
        """One step of Gauss-Newton, in place."""
        model, data = self.model, self.data
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        posture = self.posture(score.lean[k], score.bend[k], score.arms[k])
        posture[:3] = qpos[:3]
        pull = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, pull, 1.0, qpos, posture)
        hold = self.hold.copy()
        hold[3:6] = 10.0  # the pelvis' attitude is part of the score
        normal, right = np.diag(hold**2), hold**2 * pull
        jac_pos, jac_rot = np.zeros((3, model.nv)), np.zeros((3, model.nv))

        def add(jac: np.ndarray, error: np.ndarray, weight: float) -> None:
            nonlocal normal, right
            normal = normal + weight**2 * jac.T @ jac
            right = right + weight**2 * jac.T @ error

        mujoco.mj_jacSubtreeCom(model, data, jac_pos, 1)
        add(jac_pos, self.com0 + score.com[k] - data.subtree_com[1], 100.0)
        for side, (ankle, toe) in enumerate(self.feet):
            tilt = product(UPRIGHT, axis_quat("x", score.heel[k, side]))
            ball = self.ball0[side] + score.ball[k, side]
            arm = np.zeros(3)
            mujoco.mju_rotVecQuat(arm, self.to_ankle[side], axis_quat("y", score.heel[k, side]))
            for body, quat in ((ankle, tilt), (toe, UPRIGHT)):
                mujoco.mj_jacBody(model, data, jac_pos, jac_rot, body)
                if body == ankle:
                    add(jac_pos, ball + arm - data.xpos[body], 100.0)
                add(jac_rot, _turn_between(data.xquat[body], quat), 30.0)
        mujoco.mj_integratePos(model, qpos, np.linalg.solve(normal, right), 1.0)


def _turn_between(now: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Rotation vector, in world axes, from one orientation to another."""
    back, turn, out = np.zeros(4), np.zeros(4), np.zeros(3)
    mujoco.mju_negQuat(back, now)
    mujoco.mju_mulQuat(turn, want, back)
    mujoco.mju_quat2Vel(out, turn, 1.0)
    return out
