"""Links of one chain that turn against each other, against what scipy says of their rotations."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from phymotion_jax.body.limits import human_limits
from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, body_index
from phymotion_jax.parts.ranges import fold

ATOL = 2e-3  # radians: float32 rounding of angles near zero, whose cosines are one
CHAINS = human_limits().chains
ROWS = [BODY_NAMES[chain.links[-1]] for chain in CHAINS]
folded = jax.jit(lambda quat: fold(quat, CHAINS))


def fold_of(turns: dict[str, Rotation], row: str) -> float:
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (N_BODIES, 1))
    for link, turn in turns.items():
        quat[body_index(link)] = turn.as_quat(scalar_first=True)
    components = tuple(jnp.asarray(c[:, None, None], jnp.float32) for c in quat.T)
    return float(folded(components)[ROWS.index(row), 0, 0])


def about_x(degrees: float) -> Rotation:
    return Rotation.from_euler("x", degrees, degrees=True)


def test_a_spine_that_bends_as_one_is_not_folded():
    bent = {f"spine{k}": about_x(angle) for k, angle in ((1, 30.0), (2, 20.0), (3, 25.0))}
    assert abs(fold_of(bent, "spine3")) < ATOL


def test_links_against_each_other():
    back_again = {"neck": about_x(50.0), "head": about_x(-40.0)}
    assert abs(fold_of(back_again, "head") - np.radians(80.0)) < ATOL


def test_any_rotations(rng):
    spine = [Rotation.from_rotvec(0.5 * rng.normal(size=3)) for _ in range(3)]
    whole = (spine[0] * spine[1] * spine[2]).magnitude()
    want = sum(turn.magnitude() for turn in spine) - whole
    got = fold_of({f"spine{k + 1}": turn for k, turn in enumerate(spine)}, "spine3")
    assert want > 0.1
    assert abs(got - want) < ATOL


def test_a_joint_of_one_link_has_nothing_to_fold(rng):
    turn = Rotation.from_rotvec(rng.normal(size=3))
    assert fold_of({"left_knee": turn}, "left_knee") == 0.0
