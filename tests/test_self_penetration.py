"""The three levels of self-penetration: a hand inside of the trunk is found by each, and named."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import batch_of, clip, state_of

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mesh_penetration import MeshPenetration
from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES
from phymotion_jax.body.skin import Skin, default_skin
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.errors import UnknownNameError
from phymotion_jax.parts.self_penetration import link_overlap, method
from phymotion_jax.presets import LEVELS, PAPER, PHYSICAL, REFERENCE
from phymotion_jax.reference.parts import crossing

PUSHES = (  # left shoulder's rotation vector; left elbow's about y; where the hand is 3 cm deep
    ((0.32, -1.08, -0.71), -1.98, "spine3"),
    ((0.26, -0.91, -0.67), -2.13, "spine3"),
    ((0.65, -0.57, -0.84), -1.87, "spine3"),
    ((0.40, -0.01, -1.05), -2.29, "spine3"),
    ((0.85, 0.09, -0.77), -2.03, "spine1"),
    ((0.90, -1.00, -0.88), -0.99, "pelvis"),
    ((0.91, -0.17, -0.88), -1.54, "pelvis"),
    ((0.60, -0.16, -1.31), -1.34, "pelvis"),
)

TRUNK = {"pelvis", "spine1", "spine3"}
"""Near where two of these meet, the nearer capsule may be the other's."""

ARM = {"left_elbow", "left_wrist", "left_hand"}


def pushing(t):
    """One push a frame."""
    shoulder, elbow, _ = PUSHES[min(round(30.0 * t), len(PUSHES) - 1)]
    return {"left_shoulder": shoulder, "left_elbow": (0.0, elbow, 0.0)}


@pytest.fixture(scope="module")
def batch():
    """A clip of pushes, and one of a body that stands with hanging arms."""
    return batch_of(clip(pose=pushing, frames=len(PUSHES)), clip(frames=len(PUSHES)))


@pytest.mark.parametrize("level", LEVELS)
def test_a_hand_in_the_trunk_is_found(level, batch):
    state, humanoid = state_of(batch), Humanoid.from_betas(batch.betas, batch.mass_kg)
    find = jax.jit(lambda *args: link_overlap(level, *args))
    found = find(state, humanoid, default_skin(), batch.betas)
    frames = slice(0, len(PUSHES))
    assert (found.depth[0, frames] > 0.0).all()
    assert (found.depth[1, frames] == 0.0).all()
    if level == "hull":
        np.testing.assert_allclose(found.depth[0, frames], 0.03, atol=0.005)
    for frame, (_, _, trunk) in enumerate(PUSHES):
        depth = np.asarray(found.by_part[:, 0, frame])
        worst = {BODY_NAMES[link] for link in np.flatnonzero(depth == depth.max())}
        where = TRUNK if level == "capsule" else {trunk}
        assert worst & where and worst & ARM, (frame, worst)


def test_every_preset_says_its_level():
    assert (PHYSICAL.self_penetration, PAPER.self_penetration) == ("hull", "mesh")
    assert PHYSICAL.at_level("capsule").self_penetration == "capsule"
    assert not PHYSICAL.at_level("capsule").clean  # clean captures were scored by the other
    with pytest.raises(UnknownNameError, match="level of self-penetration"):
        REFERENCE.at_level("hull")
    assert method("hull", None) == "hull"
    assert method("mesh", default_skin()) == "mesh of mannequin"
    assert method(None, None).startswith("not measured")


def test_pairs_of_a_skin_can_be_set():
    hand, chest = BODY_NAMES.index("left_hand"), BODY_NAMES.index("spine3")
    skin = Skin.of(load_surface(), pairs=((hand, chest),), form="xla")
    assert skin.collider.pairs == ((chest, hand),)


def test_published_term():
    """Percent of crossing pairs: none up to 2, all from 20, over the clip's mean."""
    percent = np.array([[0.0, 2.0, 11.0, 20.0, 37.0], [1.0, 1.0, 1.0, 1.0, 90.0]])
    mask = np.array([[True] * 5, [True] * 4 + [False]])
    hits = (100.0 * percent).astype(int)
    by_link = np.zeros((N_BODIES, *hits.shape), int)
    by_link[[9, 20]] = hits
    found = MeshPenetration(*map(jnp.asarray, (hits, percent, hits, hits[None], by_link)))
    scene = SimpleNamespace(state=SimpleNamespace(mask=jnp.asarray(mask)))
    part = crossing(found, scene, REFERENCE)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(part.frame[0], [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(part.value), [(14.0 - 2.0) / 18.0, 0.0], atol=1e-6)
    assert part.links[int(np.argmax(part.by_row[:, 0, 3]))] == 20  # the one farther out
