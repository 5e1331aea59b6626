"""What an estimator says of standing still: laws of the evidence, and what scores make of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import CLIPS, batch_of, clip, smooth

from phymotion_jax import scorer
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import BODY_NAMES, STATIC_JOINTS, body_index
from phymotion_jax.kernels.differences import linear_rates
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.physical.scene import scene
from phymotion_jax.physical.standing import standing, static_points
from phymotion_jax.presets import PHYSICAL
from phymotion_jax.state import rest_padding

score = partial(scorer.score, forces=True)
"""The program of `test_physical.py`."""

FRAMES = 61
MIDDLE = slice(20, 41)  # away from the ends
NONE, FEET_STAND, NOBODY = (np.broadcast_to(c, (FRAMES, 6)) for c in (np.nan, 1.0, 0.0))
LEFT_STANDS = np.broadcast_to([1.0, 1.0, 0.0, 0.0, 0.0, 0.0], (FRAMES, 6))


@jax.jit
def seen(batch):
    """The scene over a floor at 0, and how surely points touch by their place alone."""
    batch = rest_padding(batch)
    humanoid = Humanoid.from_betas(batch.betas, batch.mass_kg)
    found = scene(batch, humanoid, jnp.zeros(CLIPS), PHYSICAL, "fused")
    state = found.state
    near = 1.0 - ramp(state.points[2], PHYSICAL.touch_height_m)
    velocity, _ = linear_rates(state.points, state.mask, state.fps)
    speed = norm((velocity[0], velocity[1], jnp.zeros_like(velocity[0])))
    slowest = jnp.min(jnp.where(near > 0.5, speed, jnp.inf), axis=0)
    slowest = jnp.where(jnp.isfinite(slowest), slowest, 0.0)
    stands = 1.0 - ramp(speed - slowest, PHYSICAL.touch_speed_m_s)
    return found, jnp.where(state.mask, near * stands, 0.0)


def held(motion, conf):
    return motion.replace(static_conf=np.asarray(conf, np.float32))


def touches(*clips) -> np.ndarray:
    """How surely both feet touch in the middle of each clip, (clips, feet)."""
    found, _ = seen(batch_of(*clips))
    touch = np.asarray(found.touch)[:, : len(clips), MIDDLE].mean(axis=-1)
    feet = Humanoid.from_betas().feet
    return np.stack([touch[list(foot)].max(axis=0) for foot in feet], axis=1)


def test_evidence_is_numpys(rng):
    near = rng.random((9, 3, 7))
    conf = np.where(rng.random((9, 3, 7)) < 0.3, np.nan, rng.random((9, 3, 7)))
    got = standing(jnp.asarray(near, jnp.float32), jnp.asarray(conf, jnp.float32))
    want = np.zeros_like(conf)
    for b, t in np.ndindex(3, 7):
        c, n = conf[:, b, t], near[:, b, t]
        best = max([n[p] * max(2 * c[p] - 1, 0) for p in range(9) if c[p] == c[p]], default=0)
        for p in range(9):
            lean = 2 * c[p] - 1 if c[p] == c[p] else 0.0
            want[p, b, t] = lean if lean > 0 else lean * best
    np.testing.assert_allclose(got, want, atol=1e-6)  # float32


def test_each_point_has_the_confidence_of_its_link():
    """Wrists speak for hands; of knees and trunk nothing is said."""
    links = Humanoid.from_betas().contact_link
    conf = jnp.broadcast_to(jnp.arange(6.0) / 10.0, (2, 3, 6))
    got = np.asarray(static_points(conf, links))
    assert got.shape == (len(links), 2, 3)
    for point, link in enumerate(links):
        name = BODY_NAMES[link].replace("hand", "wrist")
        want = STATIC_JOINTS.index(name) / 10.0 if name in STATIC_JOINTS else np.nan
        np.testing.assert_allclose(got[point], want, rtol=1e-6)
    assert {link for link in links if np.isfinite(got[links.index(link)]).all()} == {
        body_index(f"{side}_{joint}")
        for side in ("left", "right")
        for joint in ("ankle", "foot", "wrist", "hand")
    }


def test_nothing_known_changes_nothing():
    """To the last bit, in steps, swings and slides, and where nothing is near."""

    def walk(t):
        return {"left_hip": (0.5 * np.sin(4 * t), 0.0, 0.0), "right_knee": (0.4 * t % 1, 0.0, 0.0)}

    slide = clip(pose=walk, root=lambda t: (0.4 * t, 0.0, 0.03 * np.sin(5 * t)))
    found, before = seen(batch_of(slide, clip(pose=smooth), clip(root=lambda t: (0, 0, t))))
    assert ((np.asarray(before) > 0.0) & (np.asarray(before) < 1.0)).sum() > 100
    np.testing.assert_array_equal(found.touch, before)


def test_half_a_chance_changes_nothing():
    """0.5 says as much as NaN does."""
    hop = clip(root=lambda t: (0.3 * t, 0.0, 0.04 * t))
    got = touches(held(hop, NONE), held(hop, np.full((FRAMES, 6), 0.5)))
    np.testing.assert_array_equal(got[1], got[0])


def test_a_static_foot_touches_a_little_higher():
    """At 6 cm more than without, and at 20 cm, or at 10, not at all, whatever is said."""
    at = [clip(root=lambda t, h=h: (0.0, 0.0, h)) for h in (0.06, 0.10, 0.20)]
    low = touches(held(at[0], NONE), held(at[0], FEET_STAND))
    assert (low[0] < 0.4).all()
    assert (low[1] > low[0] + 0.2).all()
    assert (touches(held(at[1], FEET_STAND), held(at[2], FEET_STAND)) == 0.0).all()


def test_a_foot_in_swing_touches_a_little_lower():
    """While the other is sure to stand; if neither is, doubt says nothing."""
    tilted = {"right_hip": (-0.15, 0.0, 0.0), "right_knee": (0.3, 0.0, 0.0)}
    step = clip(pose=tilted, root=lambda t: (0.0, 0.0, 0.04))
    none, left, nobody = touches(held(step, NONE), held(step, LEFT_STANDS), held(step, NOBODY))
    assert left[0] > none[0]
    assert left[1] < none[1]
    np.testing.assert_array_equal(nobody, none)


def test_evidence_is_smooth():
    """No jump as the confidence goes from 0 to 1, nor as the foot rises."""
    grid = np.linspace(0.0, 1.0, FRAMES)
    rise = clip(root=lambda t: (0.0, 0.0, 0.06 * t), frames=FRAMES)
    conf = np.repeat(grid[:, None], 6, axis=1)
    found, _ = seen(batch_of(held(rise, conf), held(rise, FEET_STAND), held(rise, LEFT_STANDS)))
    step = np.abs(np.diff(np.asarray(found.touch)[:, :3, :FRAMES], axis=-1))
    # Per frame 2 mm of height and, of 1 cm of band, a thirtieth, on ramps 4 cm wide.
    assert step.max() < (0.002 + 0.01 / 30) / 0.04 + 1e-3


def test_a_static_foot_that_slides_slips_no_less():
    """All of it slides, and whatever is said of its feet, that is seen."""
    slide = clip(pose=smooth, root=lambda t: (0.25 * t, 0.0, 0.0))
    batch = batch_of(*(held(slide, conf) for conf in (NONE, FEET_STAND, NOBODY, LEFT_STANDS)))
    slip = score(batch).on_host().parts["con.slip"]
    assert slip[0] > 0.5
    np.testing.assert_allclose(slip[1:], slip[0], atol=0.02)


def test_a_static_foot_that_is_dragged_slips_more():
    """At 0.45 m/s beside a foot that stands: a swing, unless the estimator holds it for static."""

    def drag(t):
        return {"right_hip": (0.0, 0.0, 0.25 - 0.5 * np.clip(t - 0.5, 0.0, 1.0))}

    dragged = clip(pose=drag)
    batch = batch_of(*(held(dragged, conf) for conf in (NONE, FEET_STAND, LEFT_STANDS)))
    none, static, swing = score(batch).on_host().parts["con.slip"][:3]
    assert static > none + 0.1
    np.testing.assert_allclose(swing, none, atol=0.02)


@pytest.mark.parametrize("name", ["con.float", "dyn.residual"])
def test_no_confidence_holds_a_body_in_the_air(name):
    """It hovers by 20 cm: what is said of its feet changes no part."""
    hover = clip(pose=smooth, root=lambda t: (0.0, 0.0, 0.2 if 0.7 < t < 1.4 else 0.0))
    report = score(batch_of(held(hover, NONE), held(hover, FEET_STAND))).on_host()
    frames = report.frames[name][:, 28:36]
    np.testing.assert_array_equal(frames[1], frames[0])
