"""Each of the published code's mistakes alone: what it hides or invents, and that its switch mends
it. Run op by op, so that seventeen presets need no compilation."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import ARMS_DOWN, UPRIGHT
from scipy.spatial.transform import Rotation

from phymotion_jax import MotionBatch, score
from phymotion_jax.body.skeleton import body_index
from phymotion_jax.errors import Status, UnknownNameError
from phymotion_jax.presets import PAPER, QUIRK_NAMES, REFERENCE, ReferenceQuirks
from phymotion_jax.reference.coordinates import backward_rates
from phymotion_jax.reference.scene import scene
from phymotion_jax.state import rest_padding

FRAMES, FPS = 48, 30.0


def motion(root=None, joints=None, turn=None, fps=FPS):
    """One clip of the published humanoid from functions of time in seconds."""
    t = np.arange(FRAMES) / fps
    poses = np.zeros((1, FRAMES, 22, 3))
    for name, vector in ARMS_DOWN.items():
        poses[0, :, body_index(name)] = vector
    for name, curve in (joints or {}).items():
        poses[0, :, body_index(name)] = np.array([curve(s) for s in t])
    turns = [(turn(s) if turn else Rotation.identity()) * UPRIGHT for s in t]
    poses[0, :, 0] = [r.as_rotvec() for r in turns]
    place = np.array([root(s) if root else (0.0, 0.0, 0.0) for s in t])
    place[:, 2] += 0.95
    return MotionBatch.from_arrays(
        transl=jnp.asarray(place[None], jnp.float32),
        poses=jnp.asarray(poses, jnp.float32),
        fps=fps,
    )


def report(batch, *mended):
    """Scores on the host with some mistakes mended."""
    preset = REFERENCE.without(*mended) if mended else REFERENCE
    with jax.disable_jit():
        return score(batch, preset=preset).on_host()


def both(batch, quirk, name):
    """A published figure with the mistake and without it."""
    return tuple(float(report(batch, *mended).details[name][0]) for mended in ((), (quirk,)))


def test_there_is_a_switch_for_each_and_all_are_on():
    assert len(QUIRK_NAMES) == 16
    assert all(getattr(REFERENCE.quirks, name) for name in QUIRK_NAMES)
    for name in QUIRK_NAMES:
        mended = REFERENCE.without(name)
        assert [n for n in QUIRK_NAMES if not getattr(mended.quirks, n)] == [name]
        assert mended.name != REFERENCE.name
    with pytest.raises(UnknownNameError, match="fixed_frame_rate"):
        REFERENCE.without("gravity")


def test_fixed_frame_rate():
    """A clip at 15 fps is played twice as fast, at four times its accelerations."""
    slow = motion(joints={"left_elbow": lambda s: (0.0, -0.5 - 0.5 * np.sin(2 * s), 0.0)}, fps=15.0)
    wrong, right = both(slow, "fixed_frame_rate", "jitter_combined")
    assert np.isclose(wrong, 4.0 * right, rtol=1e-3)


def test_false_start():
    """Steady gliding at 1.5 m/s needs no force, least of all in its first frames."""
    glide = motion(root=lambda s: (1.5 * s, 0.0, 0.0))
    wrong, right = both(glide, "false_start", "v_grf_horiz")
    assert wrong == pytest.approx(2.0 / FRAMES)
    assert right == 0.0


def test_root_rotation_ignored():
    """Five somersaults a second about the pelvis, far from a bent trunk's centre of mass."""
    somersault = motion(
        joints={"spine1": lambda s: (1.2, 0.0, 0.0)},
        turn=lambda s: Rotation.from_euler("x", 10 * np.pi * s),
    )
    wrong, right = both(somersault, "root_rotation_ignored", "v_grf_vert")
    assert wrong == 0.0
    assert right > 0.2


def test_forces_at_pelvis():
    """A squat that is held: the knee carries the trunk, not the shank that hangs from it."""
    squat = motion(
        joints={
            f"{side}_{joint}": lambda s, angle=angle: (angle, 0.0, 0.0)
            for side in ("left", "right")
            for joint, angle in (("hip", -1.4), ("knee", 1.7), ("ankle", -0.5))
        }
        | {"spine1": lambda s: (0.3, 0.0, 0.0)},
    )
    torque = []
    for preset in (REFERENCE, REFERENCE.without("forces_at_pelvis")):
        with jax.disable_jit():
            seen = scene(rest_padding(squat), None, preset, "fused")
        knees = [body_index(f"{side}_knee") - 1 for side in ("left", "right")]
        torque.append(np.abs(np.asarray(seen.torque[0])[knees, 0, 20]))
    assert torque[0].max() < 10.0
    assert (torque[1] > 30.0).all()


def test_residual_as_grf():
    """Rising into the air for ever, steadily."""
    rising = motion(root=lambda s: (0.0, 0.0, 0.5 * s))
    wrong, right = both(rising, "residual_as_grf", "s_grf")
    assert wrong == 1.0
    assert right < 0.1


def test_euler_angles():
    """An arm that swings slowly past the pole of its Euler angles."""

    def past_the_pole(s):
        pole = Rotation.from_euler("y", -89.5, degrees=True)
        return (Rotation.from_euler("z", 0.4 * (s - 0.8)) * pole).as_rotvec()

    sweep = motion(joints={"left_shoulder": past_the_pole})
    wrong, right = both(sweep, "euler_angles", "MET")
    assert wrong > 5.0 * right


def test_floor_is_lowest():
    """One frame 0.3 m too low lifts all the others off the floor."""
    outlier = motion(root=lambda s: (0.0, 0.0, -0.3 if abs(s - 0.5) < 0.5 / FPS else 0.0))
    wrong, right = both(outlier, "floor_is_lowest", "v_bal")
    assert wrong > 0.9
    assert right < 0.4


def test_slip_gated_by_speed():
    """Skating at 1 m/s."""
    skate = motion(root=lambda s: (s, 0.0, 0.0))
    wrong, right = both(skate, "slip_gated_by_speed", "v_slip")
    assert wrong == 0.0
    assert right > 0.5


def test_float_ungated():
    """Standing still."""
    assert both(motion(), "float_ungated", "v_float") == (1.0, 0.0)


def test_joint_origins_as_soles():
    """Standing upright, with the centre of mass behind the toes' joints and over the heels."""
    wrong, right = both(motion(), "joint_origins_as_soles", "v_bal")
    assert wrong > 0.01
    assert right == 0.0


def test_airborne_is_unbalanced():
    """A ballistic jump."""
    jump = motion(root=lambda s: (0.0, 0.0, 4.0 * s - 0.5 * 9.81 * s**2))
    wrong, right = both(jump, "airborne_is_unbalanced", "v_bal")
    assert wrong > 0.9
    assert right < 0.1
    assert "dyn.balance" in REFERENCE.parts
    assert "dyn.balance" not in REFERENCE.without("airborne_is_unbalanced").parts


def test_hard_gates():
    """A hundredth of a radian of noise in the joints of a standing body."""
    noise = np.random.default_rng(0).normal(0.0, 0.01, (FRAMES, 3))
    shaky = motion(joints={"left_hip": lambda s: noise[round(s * FPS)],
                           "right_hip": lambda s: noise[round(s * FPS)][::-1]})  # fmt: skip
    wrong, right = both(shaky, "hard_gates", "in_contact_any_frac")
    assert wrong < 0.6
    assert right > wrong + 0.2


def test_joint_limits_dead():
    """Both knees bent backwards by 86°, for ever."""
    knees = {f"{side}_knee": lambda s: (-1.5, 0.0, 0.0) for side in ("left", "right")}
    wrong, right = both(motion(joints=knees), "joint_limits_dead", "joint_limit_violations")
    assert wrong < 1e-5
    assert right == pytest.approx(2.0 / 16.0)


def test_low_force_limits():
    """Bouncing at up to 5 body weights: landings reach that."""
    bounce = motion(root=lambda s: (0.0, 0.0, 0.04 * np.sin(2 * np.pi * 5 * s)))
    wrong, right = both(bounce, "low_force_limits", "v_grf_vert")
    assert wrong > 0.1
    assert right == 0.0


def test_effort_per_clip():
    """The same work done twice in one clip costs twice; as power it costs the same."""
    moving = {"spine1": lambda s: (0.5 * np.sin(2 * np.pi * 1.25 * s), 0.0, 0.0)}
    clip = motion(joints=moving)
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x], 1) if x.ndim > 1 else x, clip)
    twice = twice.replace(betas=clip.betas)
    ratio = []
    for mended in ((), ("effort_per_clip",)):
        once, again = (report(c, *mended).parts["dyn.effort"][0] for c in (clip, twice))
        ratio.append(float(again / once))
    # 1.6 s are two whole periods, so that nothing jumps where the clip starts again.
    np.testing.assert_allclose(ratio, [2.0, 1.0], rtol=0.05)


def test_failures_are_zeros():
    broken = motion()
    broken = broken.replace(root_pos=broken.root_pos.at[0, 3, 0].set(jnp.nan))
    zero, nan = report(broken), report(broken, "failures_are_zeros")
    assert zero.reward[0] == 0.0
    assert np.isnan(nan.reward[0])
    for found in (zero, nan):
        assert not found.valid[0]
        assert found.status[0] == Status.NOT_FINITE


@pytest.mark.parametrize("false_start", [True, False])
def test_backward_rates_against_loops(rng, false_start):
    length, fps = 9, 25.0
    position = rng.normal(size=14)
    rate, accel = np.zeros(length), np.zeros(length)
    for t in range(1, length):
        rate[t] = (position[t] - position[t - 1]) * fps
    if not false_start:
        rate[0] = 2.0 * rate[1] - rate[2]
    for t in range(1, length - 1):
        accel[t] = (rate[t + 1] - rate[t - 1]) * fps / 2.0
    accel[0], accel[-1] = accel[1], accel[-2]
    mask = np.arange(len(position)) < length
    got = backward_rates(
        jnp.asarray(np.diff(position)[None, None]),
        jnp.asarray(mask[None]),
        jnp.full((1, 1), fps),
        false_start=false_start,
    )
    padding = np.zeros(len(position) - length)
    for have, want in zip(got, (rate, accel), strict=True):
        # float32 of second differences times fps²
        np.testing.assert_allclose(have[0, 0], np.concatenate([want, padding]), atol=2e-3)


def test_no_mistake_is_reachable_from_other_presets():
    """Switches are a field of `ReferencePreset` alone, and `paper`'s chain does not know them."""
    assert not {f.name for f in fields(PAPER)} & {"quirks", *QUIRK_NAMES}
    with pytest.raises(TypeError):
        replace(PAPER, quirks=ReferenceQuirks())  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        replace(PAPER, false_start=True)  # pyright: ignore[reportCallIssue]
