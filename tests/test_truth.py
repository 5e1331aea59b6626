"""Ground forces, centres of pressure and joint torques against C MuJoCo's own.

Six motions of the mean body are simulated with nothing but the floor to hold it. Both sides have
the same masses and go through the same filter: what is left is the estimator's own error. Forces
are in body weights, torques in N·m a kilogram; unless a name says otherwise, bounds are on the
worst frame of steady contact, and what was measured stands beside them in the order of `ON_FEET`.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from truth import FPS, SCENES, G, Truth, pressure_centre, to_motion, truth_of

from phymotion_jax.assets.simulate import build_puppet
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import body_index
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import PHYSICAL
from phymotion_jax.report import Report
from phymotion_jax.scorer import score

LENGTH = 256

ON_FEET = ("drop", "bounce", "squat", "stepping")
SMOOTH = ("squat", "stepping")
"""Nothing hits the floor in them."""
FALLS = ("fall", "fall_forwards")

VERTICAL_BW = 0.05
"""What the issue asks for. Measured 0.042, 0.011, 0.002, 0.004; falls 0.015 and 0.024: this and all
that was measured below with twice the softness of the solve that is in use now."""

SMOOTH_NEEDED_BW, NEEDED_BW = 0.003, 0.08
"""Ground and residual together, on every frame. Measured 0.0013, and 0.056 beside the impact of a
fall, which lasts a frame: at 60 Hz its samples miss some of what they mean."""

HORIZONTAL_BW = 0.06
"""Measured 0.043, 0.046, 0.008, 0.017. The solve is soft, and moments about the centre of mass give
way sideways, where a metre over the floor they are cheap: all of this is residual."""

COP_M = {"drop": 0.06, "bounce": 0.055, "squat": 0.015, "stepping": 0.03}
"""Measured 0.043, 0.040, 0.010, 0.021, for the same reason: the estimate lies nearer to the middle
of the feet. At a quarter of the softness the last three are 0.022, 0.005, 0.010."""

SPLIT_BW = 0.2
"""Of one foot among two. Measured 0.13, 0.13, 0.03, 0.16. How two feet share a load is not told by
the motion but within the width of a sole; and a foot less than 7 cm up still counts as touching."""

ALONE_BW, ALONE_COP_M = 0.15, 0.03
"""Of a foot that carries all. Measured 0.115 and 0.021: the other foot and this one's shin, whose
lower end is 5 to 7 cm up, take their share. With touch ending at 3 cm it is 0.005."""

SPINE_NM_KG = {"drop": 0.12, "bounce": 0.03, "squat": 0.003, "stepping": 0.003}
"""Above the legs no force of the floor is left to be told: measured 0.075, 0.014, 0.001, 0.001."""

LEG_NM_KG = {"drop": 0.85, "bounce": 0.6, "squat": 0.1}
"""Measured 0.55, 0.45, 0.06, of up to 2.1, 1.6 and 0.9: the split and the centre of pressure again,
times the length of a leg."""

BOTH_LEGS_NM_KG = {"drop": 0.45, "bounce": 0.45, "squat": 0.1, "stepping": 0.2}
"""Flexion of both sides together, which the split drops out of. Measured 0.35, 0.36, 0.07, 0.15
at the ankles, and less at knees and hips, of up to 3.4, 2.8, 1.6 and 1.1."""

ALONE_NM_KG = 0.4
"""Of the leg that carries all. Measured 0.31 at the hip, 0.27 and 0.16 below, of up to 1.2."""

RESIDUAL_BW, RESIDUAL_BW_M = 0.07, 0.01
"""What is physical has none, but for the softness: measured 0.056, 0.040, 0.008, 0.018, and 0.007
of moment."""

FALL_RESIDUAL_BW = 0.05
"""On nine frames of ten; measured 0.021 and 0.015. The other tenth reaches 0.08: hands slide, and
what slides while something stands is not taken to touch."""


@dataclass(frozen=True)
class Estimate:
    """Of one clip, in the units and on the frames of its `Truth`."""

    ground: np.ndarray
    residual: np.ndarray
    residual_moment: np.ndarray
    cop: np.ndarray
    torque: np.ndarray


@pytest.fixture(scope="module")
def body():
    return Humanoid.from_betas()


@pytest.fixture(scope="module")
def puppet(body):
    return build_puppet(body, FPS)


@pytest.fixture(scope="module")
def recordings(puppet):
    return {name: scene(puppet) for name, scene in SCENES.items()}


@pytest.fixture(scope="module")
def batch(puppet, recordings):
    motions = [to_motion(puppet, recording, name) for name, recording in recordings.items()]
    return MotionBatch.from_motions(motions, length=LENGTH)


@pytest.fixture(scope="module")
def truth(recordings, body) -> dict[str, Truth]:
    mass = float(body.total_mass)
    return {name: truth_of(r, mass, PHYSICAL.cutoff_hz) for name, r in recordings.items()}


@pytest.fixture(scope="module")
def report(batch, body) -> Report:
    return score(batch, body, floor=0.0, forces=True).on_host()


@pytest.fixture(scope="module")
def estimate(report, truth, body) -> dict[str, Estimate]:
    return estimates(report, truth, float(body.total_mass))


def estimates(report: Report, truth: dict[str, Truth], mass_kg: float) -> dict[str, Estimate]:
    forces, found = report.forces, {}
    assert forces is not None
    for row, name in enumerate(SCENES):
        frames = len(truth[name].force)
        ground, residual, moment, cop, torque = (
            np.asarray(values)[row, :frames]
            for values in (
                forces.ground,
                forces.residual_force,
                forces.residual_moment,
                forces.cop[..., :2],
                forces.torque,
            )
        )
        weight = mass_kg * G
        found[name] = Estimate(
            ground / weight, residual / weight, moment / weight, cop, torque / mass_kg
        )
    return found


def links(*joints: str) -> list[int]:
    """Left and right, joint by joint."""
    return [body_index(f"{side}_{joint}") for joint in joints for side in ("left", "right")]


LEGS = links("hip", "knee", "ankle")
TRUNK = [body_index(name) for name in ("spine1", "spine2", "spine3", "neck")]


def test_scenes_are_what_their_names_say(recordings, truth):
    flights = {name: np.diff(truth[name].airborne.astype(int), prepend=0) for name in ON_FEET}
    assert {name: (starts == 1).sum() for name, starts in flights.items()} == {
        "drop": 1,
        "bounce": 3,
        "squat": 0,
        "stepping": 0,
    }
    assert all(recordings[name].qpos[-1, 2] > 0.8 for name in ON_FEET)
    assert recordings["squat"].qpos[:, 2].min() < 0.6
    assert (truth["stepping"].alone.sum(axis=0) > 0.3 * FPS).all()
    for name in FALLS:
        assert recordings[name].qpos[-1, 2] < 0.3
        assert truth[name].force[-1, 2, 2] > 0.8
    assert all(truth[name].steady.sum() > FPS for name in SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_force_that_the_motion_needs(name, truth, estimate):
    """Ground and residual are the floor's force: in steady contact, in flight and at impacts."""
    true, mine = truth[name], estimate[name]
    error = (mine.ground.sum(axis=1) + mine.residual - true.force.sum(axis=1))[true.inner]
    assert np.abs(error).max() < (SMOOTH_NEEDED_BW if name in SMOOTH else NEEDED_BW)


@pytest.mark.parametrize("name", SCENES)
def test_vertical_force_in_steady_contact(name, truth, estimate):
    true, mine = truth[name], estimate[name]
    error = (mine.ground - true.force).sum(axis=1)[true.steady, 2]
    assert np.abs(error).max() < VERTICAL_BW


@pytest.mark.parametrize("name", ON_FEET)
def test_horizontal_force(name, truth, estimate):
    true, mine = truth[name], estimate[name]
    error = (mine.ground - true.force).sum(axis=1)[true.steady, :2]
    assert np.linalg.norm(error, axis=-1).max() < HORIZONTAL_BW


def test_flight(truth, estimate, report):
    """Nothing floats between hops, and the floor gives what the filter spreads into them."""
    true, mine = truth["bounce"], estimate["bounce"]
    free = true.airborne & true.inner
    error = (mine.ground - true.force).sum(axis=1)[free, 2]
    assert np.abs(error).max() < VERTICAL_BW
    assert mine.ground[free, :, 2].sum(axis=1).min() < 0.15
    row = list(SCENES).index("bounce")
    assert report.frames["con.float"][row, : len(free)][free].max() == 0.0


@pytest.mark.parametrize("name", ON_FEET)
def test_split_between_the_feet(name, truth, estimate):
    true, mine = truth[name], estimate[name]
    error = (mine.ground - true.force)[true.steady][..., 2]
    assert np.abs(error).max() < SPLIT_BW


@pytest.mark.parametrize("side", [0, 1])
def test_foot_that_carries_all(side, truth, estimate):
    true, mine = truth["stepping"], estimate["stepping"]
    on = true.alone[:, side]
    assert np.abs(mine.ground - true.force)[on][..., 2].max() < ALONE_BW
    place = pressure_centre(true.force[on, side], true.moment[on, side])
    off = np.linalg.norm(mine.cop[on, side] - place, axis=-1)
    assert off.max() < ALONE_COP_M


@pytest.mark.parametrize("name", ON_FEET)
def test_centre_of_pressure_of_the_body(name, truth, estimate):
    true, mine = truth[name], estimate[name]
    on = true.steady
    load = mine.ground[on, :2, 2:]
    place = (np.nan_to_num(mine.cop[on]) * load).sum(axis=1) / load.sum(axis=1)
    want = pressure_centre(true.force[on].sum(axis=1), true.moment[on].sum(axis=1))
    assert np.linalg.norm(place - want, axis=-1).max() < COP_M[name]


@pytest.mark.parametrize("name", ON_FEET)
def test_torque_of_the_trunk(name, truth, estimate):
    error = (estimate[name].torque - truth[name].torque)[truth[name].steady][:, TRUNK]
    assert np.linalg.norm(error, axis=-1).max() < SPINE_NM_KG[name]


@pytest.mark.parametrize("name", LEG_NM_KG)
def test_torque_of_the_legs(name, truth, estimate):
    error = (estimate[name].torque - truth[name].torque)[truth[name].steady][:, LEGS]
    assert np.linalg.norm(error, axis=-1).max() < LEG_NM_KG[name]


@pytest.mark.parametrize("name", ON_FEET)
def test_torque_of_both_legs_together(name, truth, estimate):
    flexion = (estimate[name].torque - truth[name].torque)[truth[name].steady][:, LEGS, 0]
    assert np.abs(flexion[:, ::2] + flexion[:, 1::2]).max() < BOTH_LEGS_NM_KG[name]


@pytest.mark.parametrize("side", [0, 1])
def test_torque_of_the_leg_that_carries_all(side, truth, estimate):
    true, mine = truth["stepping"], estimate["stepping"]
    error = (mine.torque - true.torque)[true.alone[:, side]][:, LEGS[side::2]]
    assert np.linalg.norm(error, axis=-1).max() < ALONE_NM_KG


@pytest.mark.parametrize("name", SCENES)
def test_what_is_simulated_has_no_residual(name, truth, estimate):
    on, mine = truth[name].steady, estimate[name]
    force = np.linalg.norm(mine.residual[on], axis=-1)
    if name in FALLS:
        assert np.quantile(force, 0.9) < FALL_RESIDUAL_BW
    else:
        assert force.max() < RESIDUAL_BW
        assert np.linalg.norm(mine.residual_moment[on], axis=-1).max() < RESIDUAL_BW_M


def test_what_is_simulated_scores_high(report):
    """No part fires. But the filter bends no path at a clip's ends: a drop begins afloat."""
    for row, name in enumerate(SCENES):
        if name in ON_FEET:
            fired = {part for part, values in report.parts.items() if values[row] > 0.01}
            assert fired == ({"con.float"} if name == "drop" else set())
            assert report.reward[row] > 0.99
    assert report.reward[list(SCENES).index("fall")] > 0.96  # measured 0.980


def test_a_tenth_of_the_mass_would_show(batch, body, truth):
    """The bounds are tight enough to tell one body from a heavier one."""
    mass = float(body.total_mass)
    heavier = score(batch, Humanoid.from_betas(mass_kg=1.1 * mass), floor=0.0, forces=True)
    mine, true = estimates(heavier.on_host(), truth, mass)["squat"], truth["squat"]
    force = (mine.ground - true.force).sum(axis=1)[true.steady, 2]
    torque = (mine.torque - true.torque)[true.steady][:, TRUNK]
    assert np.abs(force).max() > VERTICAL_BW
    assert np.linalg.norm(torque, axis=-1).max() > SPINE_NM_KG["squat"]
