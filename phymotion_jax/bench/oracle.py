"""Whether what was timed is right: inverse dynamics against C MuJoCo in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mjcf import to_mjcf
from phymotion_jax.body.qpos import generalized_force, joint_motion
from phymotion_jax.dynamics import Backend, dynamics


def errors_against_mujoco(backends: tuple[Backend, ...], n: int = 64) -> dict[str, float]:
    """Largest error of each backend over the largest force, on `n` random states."""
    if not backends:
        return {}
    body = Humanoid.from_betas()
    qpos, qvel, qacc, want = _mujoco_states(body, n)
    states = [jnp.asarray(x, jnp.float32)[None] for x in (qpos, qvel, qacc)]

    @jax.jit(static_argnums=0)
    def force(backend: Backend, qpos: Any, qvel: Any, qacc: Any) -> Any:
        wrenches = dynamics(body, joint_motion(body, qpos, qvel, qacc), backend=backend).wrenches
        return generalized_force(body, wrenches, qpos, qacc)

    largest = np.abs(want).max()
    return {
        b: float(np.abs(np.asarray(force(b, *states))[0] - want).max() / largest) for b in backends
    }


def _mujoco_states(body: Humanoid, n: int) -> tuple[np.ndarray, ...]:
    """Positions, velocities and accelerations, and MuJoCo's forces for them; (n, nq or nv)."""
    rng = np.random.default_rng(0)
    model = mujoco.MjModel.from_xml_string(to_mjcf(body))
    flags = mujoco.mjtDisableBit
    model.opt.disableflags |= int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_CONSTRAINT)
    qpos, qvel, qacc = (rng.normal(size=(n, k)) for k in (model.nq, model.nv, model.nv))
    quats = qpos[:, 3:].reshape(n, -1, 4)
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    qacc = 20.0 * qacc
    data, want = mujoco.MjData(model), np.zeros((n, model.nv))
    for i in range(n):
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[i], qvel[i], qacc[i]
        mujoco.mj_inverse(model, data)
        want[i] = data.qfrc_inverse
    return qpos, qvel, qacc, want
