"""Simulates a humanoid in C MuJoCo: it follows a plan by torques at its joints and by nothing else.

The control is computed torque. The plan's accelerations, corrected by what the body is off the
plan, need a force and a moment from outside; the soles' points that touch are asked for as much of
it as a Coulomb cone allows, and the joints get the torques that go with it. No force acts on the
root: what the ground does not give, the body does not have, and it falls.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mjcf import to_mjcf

STEPS_HZ = 1200
"""Steps of the simulation a second."""
HOLD = 4
"""Steps for which torques are held: the control runs at 300 Hz."""
CONTROL_DT = HOLD / STEPS_HZ

STIFFNESS, DAMPING = 200.0, 28.0
"""Of the pull towards the plan, as accelerations a radian or metre: critical at 14 rad/s. The same
for the pelvis as for the joints: standing legs tie them together, and unlike pulls would fight."""
JOINT_STIFFNESS, JOINT_DAMPING = 60.0, 2.0
"""In N·m/rad and N·m·s/rad: muscle tone. It moves toes and hands, whose inertia is next to none."""
FRICTION = 1.0
TRUSTED_FRICTION = 0.7
"""Of the floor, and what the control counts on."""
LEVER_M = 0.3
"""Weighs moments against forces: the centre of mass goes before the trunk's attitude."""
FLESH_S = 0.03
"""Time in which the floor stops what is not a foot: flesh is softer than soles."""


@dataclass(frozen=True)
class Puppet:
    """A compiled body, and where its feet are."""

    model: mujoco.MjModel
    sole_body: np.ndarray
    """Body of each sole point, both feet."""
    sole_point: Float[np.ndarray, "P 3"]
    """Sole points in their body's frame."""
    sole_lift: Float[np.ndarray, " P"]
    """How far a sphere that levels the sole reaches below each point."""
    sole_side: np.ndarray
    """0 for the left foot's points, 1 for the right's."""
    qpos_address: tuple[int, ...]
    """Of SMPL's links."""
    dof_address: tuple[int, ...]
    """The same in qvel."""
    fps: int
    """Frames recorded a second."""


@dataclass(frozen=True)
class Plan:
    """A motion to follow, a row each `CONTROL_DT`."""

    qpos: Float[np.ndarray, "N 99"]
    qvel: Float[np.ndarray, "N 75"]
    qacc: Float[np.ndarray, "N 75"]
    carries: Bool[np.ndarray, "N P"]
    """Which sole points may be asked for force."""


@dataclass(frozen=True)
class Recording:
    """What the simulator did, a row a frame."""

    qpos: Float[np.ndarray, "T 99"]
    force: Float[np.ndarray, "T 3 3"]
    """From the floor on the left foot, the right foot and the rest of the body, in N: the mean
    over the frame, half of it before and half of it after."""
    moment: Float[np.ndarray, "T 3 3"]
    """Of the same forces about the world's origin, in N·m."""
    torque: Float[np.ndarray, "T 24 3"]
    """What each joint applied, damping included, in its link's own axes, in N·m: means as those of
    the forces. The root's is zero."""


def build_puppet(humanoid: Humanoid, fps: int) -> Puppet:
    """Compile a body for simulation: hulls that meet the floor alone, feet that stand on soles.

    A foot's hull is rounded by about a centimetre below, where flesh would flatten. Its sole points
    become spheres instead, each of the radius that brings it level with the lowest.
    """
    spec = mujoco.MjSpec.from_string(to_mjcf(humanoid))
    spec.option.timestep = 1.0 / STEPS_HZ
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 20.0  # friction that does not creep
    points, links = np.asarray(humanoid.contact_point, float), humanoid.contact_link
    rest = _rest_heights(humanoid)
    for geom in spec.geoms:
        geom.friction = [FRICTION, 0.0, 0.0]
        if geom.name != "floor":
            geom.contype, geom.conaffinity = 0, 1
            geom.solref, geom.priority = [FLESH_S, 1.0], 1
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_BALL:
            joint.damping = np.full(3, JOINT_DAMPING)
    body, point, lift, side = [], [], [], []
    for foot, sole in enumerate(humanoid.feet):
        lowest = min(rest[k] for k in sole)
        for k in sole:
            name = humanoid.body_names[links[k]]
            spec.geom(name).conaffinity = 0
            radius = rest[k] - lowest + 0.002
            spec.body(name).add_geom(
                name=f"sole{k}",
                type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=[radius, 0.0, 0.0],
                pos=points[k],
                contype=0,
                conaffinity=1,
                friction=[FRICTION, 0.0, 0.0],
                group=4,
            )
            body.append(name)
            point.append(points[k])
            lift.append(radius)
            side.append(foot)
    model = spec.compile()
    return Puppet(
        model,
        np.array([model.body(name).id for name in body]),
        np.array(point),
        np.array(lift),
        np.array(side),
        humanoid.qpos_address,
        humanoid.dof_address,
        fps,
    )


def _rest_heights(humanoid: Humanoid) -> list[float]:
    """Height of each contact point above the pelvis while the body rests upright."""
    height = [0.0] * humanoid.n_links
    offset = np.asarray(humanoid.offset, float)
    for link, parent in enumerate(humanoid.parents[1:], start=1):
        height[link] = height[parent] + offset[link, 1]
    up = np.asarray(humanoid.contact_point, float)[:, 1]
    return [height[link] + y for link, y in zip(humanoid.contact_link, up, strict=True)]


def follow(puppet: Puppet, plan: Plan, *, settle_s: float = 0.6) -> Recording:
    """Simulate a body that follows a plan, from a body at rest in the plan's first pose."""
    data = mujoco.MjData(puppet.model)
    data.qpos[:] = plan.qpos[0]
    wait = round(settle_s / CONTROL_DT)
    last = len(plan.qpos) - 1
    share = np.zeros((len(puppet.sole_body), 4))

    def control(step: int) -> None:
        nonlocal share
        row = min(max(step // HOLD - wait, 0), last)
        if step % HOLD == 0:
            share = _apply_torques(puppet, data, plan, row, share)

    return simulate(puppet, data, control, (last + wait) * HOLD, skip=wait * HOLD)


def topple(
    puppet: Puppet, first: np.ndarray, last: np.ndarray, push: np.ndarray, seconds: float
) -> Recording:
    """Push a body over that balances nothing: its joints are springs, and their damping.

    Args:
      puppet: the body.
      first: pose in which it starts, as qpos.
      last: pose that the springs come to want within the first half second.
      push: velocity at the start, as qvel.
      seconds: how long to record.
    """
    model = puppet.model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = first, push
    change, off = np.zeros(model.nv), np.zeros(model.nv)
    mujoco.mj_differentiatePos(model, change, 1.0, first, last)

    def control(step: int) -> None:
        goal = first.copy()
        mujoco.mj_integratePos(model, goal, change, min(step * model.opt.timestep / 0.5, 1.0))
        mujoco.mj_differentiatePos(model, off, 1.0, data.qpos, goal)
        data.qfrc_applied[6:] = JOINT_STIFFNESS * off[6:]

    return simulate(puppet, data, control, round(seconds * STEPS_HZ))


def simulate(
    puppet: Puppet,
    data: mujoco.MjData,
    control: Callable[[int], None],
    n_steps: int,
    *,
    skip: int = 0,
) -> Recording:
    """Step from where `data` is, and record from step `skip` on."""
    model, frame = puppet.model, STEPS_HZ // puppet.fps
    feet = [np.unique(puppet.sole_body[puppet.sole_side == side]) for side in (0, 1)]
    others = np.setdiff1d(np.arange(1, model.nbody), np.concatenate(feet))
    ball = np.array(puppet.dof_address[1:])[:, None] + np.arange(3)
    rows, force, moment, torque = [], [], [], []
    for step in range(n_steps + frame // 2):
        mujoco.mj_step1(model, data)
        control(step)
        if step >= skip and (step - skip) % frame == 0:
            rows.append(data.qpos.copy())
        mujoco.mj_step2(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        outside = [data.cfrc_ext[group].sum(axis=0) for group in (*feet, others)]
        force.append([f[3:] for f in outside])
        centre = data.subtree_com[1]
        moment.append([f[:3] + np.cross(centre, f[3:]) for f in outside])
        applied = (data.qfrc_applied + data.qfrc_passive)[ball]
        torque.append(np.concatenate([np.zeros((1, 3)), applied]))
    means = (_by_frame(steps, skip, frame)[: len(rows)] for steps in (force, moment, torque))
    return Recording(np.array(rows), *means)


def _by_frame(steps: list, skip: int, frame: int) -> np.ndarray:
    """Means over frames, each centred on the moment of its pose."""
    values = np.array(steps)
    start = skip - frame // 2
    if start < 0:
        values = np.concatenate([values[:1].repeat(-start, axis=0), values])
        start = 0
    count = (len(values) - start) // frame
    used = values[start : start + count * frame]
    return used.reshape(count, frame, *used.shape[1:]).mean(axis=1)


def _apply_torques(
    puppet: Puppet, data: mujoco.MjData, plan: Plan, row: int, share: np.ndarray
) -> np.ndarray:
    """Set the joints' torques; the forces asked of the soles are the next call's first guess."""
    model, nv = puppet.model, puppet.model.nv
    off = np.zeros(nv)
    mujoco.mj_differentiatePos(model, off, 1.0, data.qpos, plan.qpos[row])
    slow = plan.qvel[row] - data.qvel
    wanted = plan.qacc[row] + STIFFNESS * off + DAMPING * slow
    needed = np.zeros(nv)
    mujoco.mj_mulM(model, data, needed, wanted)
    needed += data.qfrc_bias
    needed[6:] += JOINT_DAMPING * plan.qvel[row, 6:] + JOINT_STIFFNESS * off[6:]
    turn = data.xmat[puppet.sole_body].reshape(-1, 3, 3)
    place = data.xpos[puppet.sole_body] + np.einsum("pij,pj->pi", turn, puppet.sole_point)
    arm, pelvis = place - data.xpos[1], data.xmat[1].reshape(3, 3)
    moment = pelvis @ needed[3:6]
    share, force = _ground_share(needed[:3], moment, arm, plan.carries[row], share)
    # What the ground cannot give, the pelvis' acceleration does without.
    given = np.concatenate([force.sum(axis=0), np.cross(arm, force).sum(axis=0) @ pelvis])
    columns = np.zeros((6, nv))
    for k, unit in enumerate(np.eye(6, nv)):
        mujoco.mj_mulM(model, data, columns[k], unit)
    torque = needed + np.linalg.solve(columns[:, :6], given - needed[:6]) @ columns
    jac_pos, jac_rot = np.zeros((3, nv)), np.zeros((3, nv))
    for body in np.unique(puppet.sole_body):
        mine = puppet.sole_body == body
        mujoco.mj_jacBody(model, data, jac_pos, jac_rot, body)
        torque = torque - jac_pos.T @ force[mine].sum(axis=0)
        lever = place[mine] - data.xpos[body]
        torque = torque - jac_rot.T @ np.cross(lever, force[mine]).sum(axis=0)
    data.qfrc_applied[6:] = torque[6:]
    return share


def _ground_share(
    force: np.ndarray, moment: np.ndarray, arm: np.ndarray, free: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative forces along the edges of each point's friction pyramid, nearest to a wrench.

    Least squares by accelerated projected gradients. The moment is taken about the middle of the
    points, where a force that is slightly wrong turns the body least.
    """
    if not free.any():
        return np.zeros_like(guess), np.zeros_like(arm)
    middle = arm[free].mean(axis=0)
    reach = TRUSTED_FRICTION / np.sqrt(2.0)
    edge = np.array(
        [[reach, reach, 1], [reach, -reach, 1], [-reach, reach, 1], [-reach, -reach, 1]]
    )
    rows = np.broadcast_to(edge, (int(free.sum()), 4, 3))
    turn = np.cross((arm[free] - middle)[:, None], rows) / LEVER_M
    matrix = np.concatenate([rows, turn], axis=-1).reshape(-1, 6).T
    want = np.concatenate([force, (moment - np.cross(middle, force)) / LEVER_M])
    gram = matrix.T @ matrix
    gram[np.diag_indices_from(gram)] += 1e-3
    pull = matrix.T @ want
    rate = 1.0 / np.linalg.eigvalsh(matrix @ matrix.T)[-1]
    value = ahead = guess[free].ravel()
    for k in range(80):
        step = np.maximum(ahead - rate * (gram @ ahead - pull), 0.0)
        ahead = step + k / (k + 3.0) * (step - value)
        value = step
    share = np.zeros_like(guess)
    share[free] = value.reshape(-1, 4)
    return share, share @ edge
