"""The table of violations, and the one function that applies them."""

import math

from phymotion_jax.errors import MotionError, Status, UnknownNameError
from phymotion_jax.motion import Motion
from phymotion_jax.redteam import paths, timing, turns
from phymotion_jax.redteam.edits import FEWEST_FRAMES
from phymotion_jax.redteam.violation import Violation


def violate(motion: Motion, name: str, strength: str | float = "middle", seed: int = 0) -> Motion:
    """A clip made wrong in one known way.

    Body shape, mass and frame rate stay; the name says what was done. The same seed gives the same
    clip.

    Args:
      motion: a clean clip of at least three frames.
      name: a violation of `VIOLATIONS`, or a control of `CONTROLS`.
      strength: "weak", "middle", "strong", or a number in the violation's unit.
      seed: of the noise; elsewhere it chooses a side (even: left), a frame, a direction.

    Raises:
      UnknownNameError: with the names there are, of violations or of strengths.
      MotionError: where the clip is too short to be wrong in.
    """
    known = VIOLATIONS | CONTROLS
    if name not in known:
        raise UnknownNameError("violation", name, tuple(known))
    if motion.n_frames < FEWEST_FRAMES:
        reason = f"a clip of {motion.n_frames} frames; {FEWEST_FRAMES} or more were wanted"
        raise MotionError(Status.TOO_SHORT, reason)
    violation = known[name]
    named = isinstance(strength, str)
    amount = violation.strength(strength) if named else float(strength)
    wrong = violation.apply(motion, amount, seed)
    label = strength if named else f"{strength:g}"
    return wrong.replace(name="_".join(filter(None, (motion.name, name, label))))


_BACKWARDS = (25.0, 45.0, 80.0)
_BACKWARDS_REASON = (
    "ranges end at 5 to 10 beyond straight, and authors differ by 10: 25 is past both"
)

_TABLE = (
    Violation(
        "levitate", "contact", ("con.float", "dyn.residual"), (0.1, 0.3, 1.0), "m/s",
        "weak is off the floor by 0.05 m after half a second; strong has the speed of a hop",
        paths.levitate,
    ),
    Violation(
        "hover", "contact", ("con.float", "dyn.residual"), (0.06, 0.1, 0.3), "m",
        "weak is past the 0.045 by which one person's soles differ in motion taken from video",
        paths.hover, "stance",
    ),
    Violation(
        "float_walk", "contact", ("con.float", "dyn.residual"), (0.07, 0.1, 0.15), "m",
        "weak is past the 0.05 at which soles count as touching; at 0.15 the ankles are spent",
        paths.float_walk, "stance",
    ),
    Violation(
        "sink", "contact", ("con.ground_penetration",), (0.04, 0.08, 0.16), "m",
        "clean fits lie within 0.02 of the floor; the published score calls 0.05 the worst",
        paths.sink, "stance",
    ),
    Violation(
        "skate_slow", "contact", ("con.slip",), (0.05, 0.1, 0.2), "m/s",
        "the published gate is 0.05: slower feet count as planted, faster ones as lifted",
        paths.skate, "stance",
    ),
    Violation(
        "skate_fast", "contact", ("con.slip",), (0.5, 1.0, 2.0), "m/s",
        "from a slow walk's speed to a jog's; the published slip sees nothing of it",
        paths.skate, "stance",
    ),
    Violation(
        "moonwalk", "contact", ("con.slip",), (0.5, 1.0, 2.0), "of the path",
        "half the progress, none, and backwards: feet slip at this share of the walking speed",
        paths.moonwalk, "travel",
    ),
    Violation(
        "spin", "dynamic", ("dyn.torque", "dyn.residual", "con.slip"), (1.0, 3.0, 6.0), "rev/s",
        "a hand 0.3 m off the axis pulls with 11 g at 3; a skater's record is 5 to 6, from memory",
        turns.spin, "stance",
    ),
    Violation(
        "impossible_lean", "contact", ("con.balance", "dyn.residual"), (15.0, 25.0, 40.0), "deg",
        "a plank on feet at hip's width falls beyond 9: soles end 0.16 m out, its centre is 1 m up",
        turns.lean, "stance",
    ),
    Violation(
        "glide_lying", "contact", ("con.slip",), (0.5, 1.0, 3.0), "m/s",
        "friction of 0.2 would end the slowest within 0.26 s",
        turns.glide_lying,
    ),
    Violation(
        "joint_jitter", "kinematic", ("kin.discontinuity", "dyn.torque", "dyn.effort"),
        (0.01, 0.03, 0.1), "rad",
        "0.01 already costs the published contact score a third; 0.1 is seen by anybody",
        turns.joint_jitter,
    ),
    Violation(
        "root_jitter", "kinematic", ("kin.discontinuity", "dyn.residual"),
        (0.002, 0.005, 0.02), "m",
        "at 30 fps second differences of 0.4, 1.1 and 4.5 g, one standard deviation",
        paths.root_jitter,
    ),
    Violation(
        "teleport", "kinematic", ("kin.discontinuity", "con.slip", "dyn.residual"),
        (0.1, 0.3, 1.0), "m",
        "at 30 fps 3, 9 and 30 m/s gained and lost within two frames: 9 g and more",
        paths.teleport,
    ),
    Violation(
        "pop", "kinematic", ("kin.discontinuity", "kin.velocity"), (0.2, 0.5, 1.5), "rad",
        "at 30 fps 340, 860 and 2,600 deg/s there and back: from everyday speed to past any knee's",
        turns.pop,
    ),
    Violation(
        "shaking", "kinematic", ("kin.discontinuity", "kin.velocity"), (15.0, 25.0, 45.0), "deg",
        "hands tap at 5 to 7 Hz, by little; a head or a forearm is heavier: this project's guess",
        turns.shaking,
    ),
    Violation(
        "knee_backwards", "kinematic", ("kin.joint_limit",), _BACKWARDS, "deg",
        _BACKWARDS_REASON, turns.knee_backwards,
    ),
    Violation(
        "elbow_backwards", "kinematic", ("kin.joint_limit",), _BACKWARDS, "deg",
        _BACKWARDS_REASON, turns.elbow_backwards,
    ),
    Violation(
        "head_turned", "kinematic", ("kin.joint_limit",), (110.0, 140.0, 180.0), "deg",
        "neck and head turn by 80, and authors differ by 10; 180 looks straight back",
        turns.head_turned,
    ),
    Violation(
        "arm_wrung", "kinematic", ("kin.joint_limit",), (120.0, 140.0, 170.0), "deg",
        "upper arms turn inwards by 70 to 95, and authors differ by 10",
        turns.arm_wrung,
    ),
    Violation(
        "spine_folded", "kinematic", ("kin.joint_limit",), (40.0, 55.0, 70.0), "deg",
        "clean clips bend one part of a spine against another by up to 60 in all; weak has 80",
        turns.spine_folded,
    ),
    Violation(
        "limb_through_body", "kinematic", ("kin.self_penetration",), (0.06, 0.09, 0.12), "m",
        "flesh gives way by 0.03; at 0.12 the wrist is at the chest's joint",
        turns.limb_through_body,
    ),
    Violation(
        "too_fast", "dynamic", ("dyn.torque", "dyn.effort", "dyn.residual", "kin.velocity"),
        (1.5, 2.0, 3.0), "times",
        "speeds grow by the factor, forces by its square, power by its cube: 27 times at 3",
        timing.too_fast, "movement",
    ),
    Violation(
        "slowed_jump", "contact", ("con.float", "dyn.residual"), (1.5, 2.0, 3.0), "times",
        "a flight in slow motion is held up by 0.56, 0.75 and 0.89 of the body's weight",
        timing.slowed_jump, "flight",
    ),
    Violation(
        "stiff_hops", "dynamic", ("dyn.residual", "dyn.grf"), (0.04, 0.1, 0.3), "m",
        "a hop of 0.04 takes 0.4 joules a kilogram, ten times what clean clips leave unexplained",
        paths.stiff_hops, "stance",
    ),
    Violation(
        "super_strength", "dynamic", ("dyn.grf", "dyn.torque", "dyn.effort", "dyn.residual"),
        (2.0, 4.0, 6.0), "g",
        "beyond 1 the ground must pull; with the weight, pushes of 3, 5 and 7 body weights",
        paths.bounce, "stance",
    ),
)  # fmt: skip

VIOLATIONS: dict[str, Violation] = {violation.name: violation for violation in _TABLE}
"""What a scorer should see, by name."""

_CONTROL_TABLE = (
    Violation(
        "freeze", "none", (), (0.25, 0.5, 0.75), "of the clip",
        "which frame is held: a score must not reward stillness",
        timing.freeze_at,
    ),
    Violation(
        "position_noise", "none", (), (0.002, 0.005, 0.01), "m",
        "a laboratory's, a good video capture's and a poor one's: this project's guess",
        lambda motion, m, seed: turns.add_noise(motion, position_m=m, seed=seed),
    ),
    Violation(
        "rotation_noise", "none", (), (0.5, 1.0, 2.0), "deg",
        "a laboratory's, a good video capture's and a poor one's: this project's guess",
        lambda motion, deg, seed: turns.add_noise(
            motion, rotation_rad=math.radians(deg), seed=seed
        ),
    ),
)  # fmt: skip

CONTROLS: dict[str, Violation] = {control.name: control for control in _CONTROL_TABLE}
"""What a scorer should bear, by name: a held frame, and an estimator's noise."""
