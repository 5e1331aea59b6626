"""Slow, plain float64 answers that nobody here derived: C MuJoCo, scipy, numpy loops."""

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation


def mujoco_inverse(model: mujoco.MjModel, qpos, qvel, qacc) -> np.ndarray:
    """qfrc_inverse of each row, without constraints and contacts, by C MuJoCo."""
    flags = mujoco.mjtDisableBit
    model.opt.disableflags |= int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_CONSTRAINT)
    data = mujoco.MjData(model)
    out = np.zeros((len(qpos), model.nv))
    for i in range(len(qpos)):
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[i], qvel[i], qacc[i]
        mujoco.mj_inverse(model, data)
        out[i] = data.qfrc_inverse
    return out


def random_states(model: mujoco.MjModel, n: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions with unit quaternions, velocities of 2 and accelerations of 20 units."""
    qpos = rng.normal(size=(n, model.nq))
    for j in range(model.njnt):
        at = int(model.jnt_qposadr[j])
        kind = int(model.jnt_type[j])
        if kind == int(mujoco.mjtJoint.mjJNT_FREE):
            at, kind = at + 3, int(mujoco.mjtJoint.mjJNT_BALL)
        if kind == int(mujoco.mjtJoint.mjJNT_BALL):
            qpos[:, at : at + 4] /= np.linalg.norm(qpos[:, at : at + 4], axis=1, keepdims=True)
    return qpos, 2.0 * rng.normal(size=(n, model.nv)), 20.0 * rng.normal(size=(n, model.nv))


def random_tree(rng, n_links: int, joint: str) -> str:
    """MJCF of a random tree with tilted frames, off-centre anchors and full inertias."""
    children: dict[int, list[int]] = {k: [] for k in range(n_links)}
    for k in range(1, n_links):
        children[int(rng.integers(0, k))].append(k)

    def numbers(values) -> str:
        return " ".join(f"{v:.8g}" for v in values)

    def body(k: int) -> str:
        spread = rng.normal(size=(3, 3))
        inertia = 0.05 * (spread @ spread.T + 0.5 * np.eye(3))
        order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        # x xᵀ of a cloud gives an inertia that a body can have: trace - x xᵀ
        inertia = np.trace(inertia) * np.eye(3) - inertia
        text = (
            f'<body name="b{k}" pos="{numbers(0.3 * rng.normal(size=3))}" '
            f'quat="{numbers(rng.normal(size=4))}">'
            f'<inertial pos="{numbers(0.1 * rng.normal(size=3))}" mass="{rng.uniform(0.5, 5):.6g}" '
            f'fullinertia="{numbers(inertia[i, j] for i, j in order)}"/>'
        )
        anchor, armature = numbers(0.1 * rng.normal(size=3)), f"{rng.uniform(0, 0.1):.6g}"
        if k == 0:
            text += "<freejoint/>"
        elif joint == "ball":
            text += f'<joint type="ball" pos="{anchor}" armature="{armature}"/>'
        elif joint == "hinge" or k % 3:
            for _ in range(int(rng.integers(1, 4))):
                axis = numbers(rng.normal(size=3))
                text += f'<joint type="hinge" axis="{axis}" pos="{anchor}" armature="{armature}"/>'
        return text + "".join(body(c) for c in children[k]) + "</body>"

    return f"<mujoco><worldbody>{body(0)}</worldbody></mujoco>"


def skinned(body: dict[str, np.ndarray], betas: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vertices ``(V, 3)`` of one frame relative to the pelvis, joint by joint in float64.

    `body` has a SMPL file's arrays, `vectors` one rotation vector for each of its joints.
    """
    parents = body["kintree_table"][0].astype(np.int64)
    rest = body["v_template"] + np.einsum("vck,k->vc", body["shapedirs"][..., : len(betas)], betas)
    joints = body["J_regressor"].astype(np.float64) @ rest
    local = Rotation.from_rotvec(vectors).as_matrix()
    features = (local[1:] - np.eye(3)).ravel()
    rest = rest + np.einsum("vcp,p->vc", body["posedirs"], features)
    rot, pos, out = local.copy(), np.zeros_like(joints), np.zeros_like(rest)
    for joint, parent in enumerate(parents):
        if joint:
            rot[joint] = rot[parent] @ local[joint]
            pos[joint] = pos[parent] + rot[parent] @ (joints[joint] - joints[parent])
        moved = (rest - joints[joint]) @ rot[joint].T + pos[joint]
        out += body["weights"][:, joint : joint + 1] * moved
    return out


def triangles_cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether the insides of triangles ``(..., 3, 3)`` share a piece of a line.

    Möller 1997, in float64: the pieces in which two triangles cut each other's planes overlap.
    """
    of_a, of_b = (
        np.cross(t[..., 1, :] - t[..., 0, :], t[..., 2, :] - t[..., 0, :]) for t in (a, b)
    )
    way = np.cross(of_a, of_b)
    met, ends = np.ones(way.shape[:-1], bool), []
    for mine, other, normal in ((a, b, of_b), (b, a, of_a)):
        side = np.einsum("...cx,...x->...c", mine - other[..., :1, :], normal)
        along = np.einsum("...cx,...x->...c", mine, way)
        met &= (side.min(axis=-1) < 0.0) & (side.max(axis=-1) > 0.0)
        next_side, next_along = np.roll(side, -1, axis=-1), np.roll(along, -1, axis=-1)
        cut = (side > 0.0) != (next_side > 0.0)
        share = side / np.where(cut, side - next_side, 1.0)
        places = along + (next_along - along) * share
        low, high = (np.where(cut, places, fill) for fill in (np.inf, -np.inf))
        ends.append((low.min(axis=-1), high.max(axis=-1)))
    (low_a, high_a), (low_b, high_b) = ends
    return met & (np.maximum(low_a, low_b) < np.minimum(high_a, high_b))
