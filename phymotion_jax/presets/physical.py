"""Twelve parts that separate what bodies do from what they cannot."""

import json
from dataclasses import dataclass, replace
from importlib.resources import files

from phymotion_jax.presets.base import Axes, Preset

CALIBRATION = json.loads(files("phymotion_jax.assets").joinpath("calibration.json").read_text())
"""What clean captures do, by `assets/calibrate.py`."""


@dataclass(frozen=True)
class Ramp:
    """Where a violation begins and where it is whole; between them a straight line."""

    soft: float
    """What clean captures do: violation 0 up to here."""

    hard: float
    """What humans cannot do: violation 1 from here on."""


@dataclass(frozen=True, kw_only=True)
class PhysicalPreset(Preset):
    """Settings of the twelve parts that separate what bodies do from what they cannot."""

    cutoff_hz: float
    """Cut-off of the low-pass that all but discontinuity is measured behind."""

    artefact_hz: float
    """What is faster than this is no motion of a body but an artefact."""

    cutoff_share: float
    """Both cut-offs as a share of the frame rate, where that is less."""

    touch_height_m: Ramp
    """A sole touches for sure up to `soft` above the floor, and not at all from `hard` on."""

    touch_height_other_m: Ramp
    """The same of points that are not a sole's."""

    stand_height_m: Ramp
    """The body stands for sure while its lowest point is up to `soft` above the floor, and not at
    all from `hard` on."""

    static_height_m: float
    """That much higher do points still touch that an estimator surely holds for static, and that
    much lower do others cease to, where it holds another point for static that touches."""

    touch_speed_m_s: Ramp
    """It stands for sure up to `soft` faster over the floor than the slowest point that touches,
    and swings from `hard` on."""

    friction: float
    """Coefficient of friction of the contact forces."""

    window_s: float
    """A part's value is half its mean over the clip, half that over its worst window this long."""

    jitter_rad: Ramp
    """Rotation of the joints faster than `artefact_hz`, root mean square over joints and window."""

    jitter_m: Ramp
    """Displacement of the pelvis faster than that, root mean square over the window."""

    joint_jitter_rad: Ramp
    """Rotation of the joint that jitters most, root mean square over a second."""

    shake_rad: Ramp
    """Rotation of the joint that shakes most, between the two cut-offs: root mean square over a
    second."""

    pop_rad: Ramp
    """Rotation of one joint on one frame faster than that."""

    pop_m: Ramp
    """Displacement of the pelvis on one frame."""

    artefact_share: float
    """Share of the violation of forces that is forgiven on frames that are artefacts altogether:
    a teleport has no forces to be judged."""

    overlap_m: Ramp
    """Depth of body parts in each other."""

    range_excess_rad: Ramp
    """Angle beyond a joint's range of motion and its margin."""

    fold_rad: Ramp
    """Angle by which the links of a chain (spine, neck) turn against each other."""

    slide_m_s: Ramp
    """Speed at which a foot slides under load, over the time within a second that it is loaded."""

    penetration_m: Ramp
    """Depth of the lowest point under the floor."""

    unsupported_bw: Ramp
    """Force needed while nothing touches, in body weights."""

    imbalance_m: Ramp
    """How far the centre of mass would have to be elsewhere for the ground to hold the body."""

    vertical_bw: Ramp
    """Vertical ground force."""

    horizontal_bw: Ramp
    """Horizontal ground force."""

    power_w_kg: Ramp
    """Positive power of all joints, averaged over a second."""

    peak_power_w_kg: Ramp
    """The same on a frame."""

    residual_bw: Ramp
    """Force that the ground could not supply, in body weights."""

    residual_moment_bw_m: Ramp
    """Moment that it could not, in body weights times metres."""

    lift_m: Ramp
    """Height by which the ground, which does no work, would have to lift the body."""

    smooth: bool = False
    """Ramps without bends, and soft maxima over joints, feet and windows, for gradients."""

    @property
    def axes(self) -> Axes:
        """Four parts an axis."""
        return {
            "kinematic": (
                *("kin.velocity", "kin.discontinuity"),
                *("kin.self_penetration", "kin.joint_limit"),
            ),
            "contact": ("con.slip", "con.ground_penetration", "con.float", "con.balance"),
            "dynamic": ("dyn.torque", "dyn.grf", "dyn.effort", "dyn.residual"),
        }

    def smoothed(self) -> "PhysicalPreset":
        """The same with ramps and maxima made for gradients."""
        return replace(self, smooth=True)

    @property
    def clean(self) -> dict[str, list[float]]:
        """What the clean captures of the calibration score with these very settings."""
        return CALIBRATION["clean"] if self == PHYSICAL else {}


def _from_clean(name: str, hard: float) -> Ramp:
    """A ramp that begins where clean captures end."""
    return Ramp(CALIBRATION["quantities"][name]["soft"], hard)


PHYSICAL = PhysicalPreset(
    name="physical",
    # At 8 Hz the force of walking is a little nearer to the plates' (0.041 for 0.044 body weights),
    # and 5 mm of noise costs nearly three times as much.
    cutoff_hz=5.0,
    # Above it clean clips of walking, jumping and kicking hold a few milliradians (root mean square
    # over joints, median 0.0006 to 0.008) and a fraction of a millimetre of the pelvis.
    artefact_hz=10.0,
    cutoff_share=0.4,  # short of Nyquist's half, where the filter would do nothing
    # Soles of one standing person, recovered from video, differ by up to 0.045 m in height.
    touch_height_m=Ramp(0.03, 0.07),
    # The shank of a standing leg ends at 0.054 and more, and carries nothing.
    touch_height_other_m=Ramp(0.02, 0.05),
    # Of frames that need half the weight or more, the lowest point is up to 0.025 high on 95 of 100
    # in 30 of 31 clean clips; the other is a drop jump, which begins above the floor.
    stand_height_m=Ramp(0.025, 0.045),
    static_height_m=0.01,  # 0.02 would spare hovering by 0.1 m half of what it costs
    touch_speed_m_s=Ramp(0.1, 0.4),  # a walking foot swings at 2 and more, a shuffling one at 0.5
    # Walking uses 0.2, dry shoes hold 0.5 to 1.0.
    friction=0.9,
    window_s=0.5,
    # White noise of 1 degree in every joint is 0.012 rad, 5 mm in the pelvis 4 mm, what is faster
    # than 10 Hz alone counting. Hard ends are about twice that.
    jitter_rad=_from_clean("jitter_rad", 0.03),
    jitter_m=_from_clean("jitter_m", 0.007),
    # Clean clips have 0.032 at most; white noise of 4.6 degrees in one joint is 0.063.
    joint_jitter_rad=Ramp(0.03, 0.08),
    # The fastest second of a clean clip has 0.07 at most (half a second of it, on average, 0.056),
    # and of a boxer as much; a head that turns to and fro by 20 degrees at 6 Hz, 0.12.
    shake_rad=Ramp(0.08, 0.16),
    # At 30 frames a second a joint that is off by 0.25 rad for one frame turns at 860 degrees a
    # second, there and back; a pelvis that is off by 5 cm, at 9 g.
    pop_rad=_from_clean("pop_rad", 0.25),
    pop_m=_from_clean("pop_m", 0.05),
    artefact_share=0.7,
    self_penetration="hull",
    # Flesh gives way, by 2 to 3 cm; a forearm is 8 cm thick, and a hip 17. At 0.12 standing still
    # gains 0.024, since half of these clips have hands inside of hips while they move.
    overlap_m=_from_clean("overlap_m", 0.15),
    # Beyond the table's margin of 10 degrees.
    range_excess_rad=_from_clean("range_excess_rad", 0.6),
    # Two links that turn by 46 degrees against each other; clean clips have 58 in all at most.
    fold_rad=_from_clean("fold_rad", 1.6),
    # A shuffling foot is dragged at some 0.5.
    slide_m_s=_from_clean("slide_m_s", 0.25),
    penetration_m=Ramp(0.02, 0.1),  # in stance, soles of laboratory fits lie within 0.02
    # In flight phases of captured jumps 0.04 to 0.14 are needed; hovering needs 1, a fall in slow
    # motion at half the speed 0.75. Between the steps of a run the low-pass leaves up to 0.2 down.
    unsupported_bw=Ramp(0.2, 0.6),
    # Clean clips stay within 0.06; in deep squats de Leva's centre of mass lies 0.05 to 0.06 before
    # the one that plates tell. Of a body that leans by 35 degrees it lies 0.21 to 0.69 outside.
    imbalance_m=Ramp(0.07, 0.4),
    # Walking 1.2, running 2.5 (Keller 1996), sprinting 3.5 to 4.5; triple jumps land at 7 to 12
    # (Ramey and Williams 1985, Perttunen 2000), unfiltered.
    vertical_bw=Ramp(4.0, 8.0),
    horizontal_bw=Ramp(1.0, 2.5),  # cutting and sprint starts reach 1
    # 90 s of cycling: 5.9 on average, 11.7 at the peak (JSSM 4:437).
    power_w_kg=Ramp(8.0, 20.0),
    peak_power_w_kg=Ramp(60.0, 100.0),  # counter-movement jumps 45 to 60 and more
    # Laboratory practice allows 5 % of the peak force, and of it 1 % of the height of the centre of
    # mass as a moment (Hicks 2015, JBME 137:020905, from memory); recovered motion is noisier.
    residual_bw=_from_clean("residual_bw", 0.4),
    residual_moment_bw_m=Ramp(0.05, 0.3),
    # Clean clips: up to 0.0034 in nine of ten, 0.011 at most.
    lift_m=Ramp(0.015, 0.06),
)
"""What `score` means where nothing else is asked for.

Soft ends are where clean captures end, from `assets/calibration.json`, but where a source tells of
people who do more than these did. Where none is named, hard ends are proposals of this project.
Limits of joint speed and torque and ranges of motion are the body's, from `assets/limits.json`."""
