"""Settings of the scorer. A preset is a frozen dataclass and nothing else; every constant says
where it comes from.
"""

from dataclasses import dataclass, field, fields, replace

from phymotion_jax.errors import UnknownNameError

Axes = dict[str, tuple[str, ...]]
"""The parts of each axis, in the order of tables. An axis is 1 minus the mean of its parts."""

AXIS_NAMES = ("kinematic", "contact", "dynamic")
"""Every preset's axes. The reward is their mean."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What all presets have. Static: another preset is another compiled program."""

    name: str
    """What tables and the command line call it."""

    @property
    def axes(self) -> Axes:
        """The parts of each axis."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts, in the order of tables."""
        return tuple(part for parts in self.axes.values() for part in parts)

    @property
    def details(self) -> tuple[str, ...]:
        """Further columns that a preset has."""
        return ()

    @property
    def failed_reward(self) -> float:
        """Reward and axes of a clip that cannot be scored."""
        return float("nan")


@dataclass(frozen=True, kw_only=True)
class PaperPreset(Preset):
    """Thresholds of the paper's ten parts."""

    contact_height_m: float
    """A sole, or any other contact point, this near the floor touches it."""

    swing_speed_m_s: float
    """A foot near the ground that is faster than the other by more than this swings."""

    landing_speed_m_s: float
    """A foot near the ground that rises or sinks faster than this is on its way up or down."""

    overlap_tolerance_m: float
    """Capsules that overlap by more than this pass through each other."""

    slip_scale_m: float
    """A foot that slides this far in one stance has slip 1."""

    penetration_scale_m: float
    """A sole this far below the floor has ground_penetration 1."""

    ballistic_tolerance: float
    """In the air, a force of more than this many body weights is not free flight."""

    grf_max: float
    """Ground force, in body weights, above which it is too large. Twice of it is violation 1."""

    power_max_w_kg: float
    """Mean of torque times speed over all joints, in W/kg, at which effort is 1."""

    @property
    def axes(self) -> Axes:
        """The paper's ten parts."""
        return {
            "kinematic": ("kin.velocity", "kin.self_penetration", "kin.joint_limit"),
            "contact": ("con.slip", "con.ground_penetration", "con.float", "con.balance"),
            "dynamic": ("dyn.torque", "dyn.grf", "dyn.effort"),
        }


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
    """A point touches for sure up to `soft` above the floor, and not at all from `hard` on."""

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

    slide_m_s: Ramp
    """Speed at which a foot slides under load, over the time within a second that it is loaded."""

    penetration_m: Ramp
    """Depth of the lowest point under the floor."""

    unsupported_bw: Ramp
    """Force that nothing that touches could supply, in body weights."""

    imbalance_m: Ramp
    """Distance of the centre of pressure that the motion requires from the support polygon."""

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


@dataclass(frozen=True, kw_only=True)
class ReferenceQuirks:
    """The published code's mistakes, one switch each; all on gives its numbers.

    Two more that were found have no switch, since no formula says them: that standing still scores
    best is what these add up to (`benchmarks/quirks.py` shows each one's share), and nothing here
    shares a simulator between threads.
    """

    fixed_frame_rate: bool = True
    """Every clip is played at 30 frames a second. Off: at its own rate."""

    false_start: bool = True
    """All rates are zero on the first frame, a jerk to the next ones. Off: extrapolated."""

    root_rotation_ignored: bool = True
    """The pelvis' own rotation has no velocity and no acceleration. Off: it has."""

    forces_at_pelvis: bool = True
    """The ground's force enters at the pelvis: legs hang. Off: it enters where the feet touch."""

    residual_as_grf: bool = True
    """Whatever the root needs is called ground force. Off: what is needed while nothing touches is
    a violation of its own, beyond half a body weight."""

    euler_angles: bool = True
    """Joints are three hinges, and their rates differences of Euler angles. Off: of rotations."""

    floor_is_lowest: bool = True
    """The floor is the lowest point of the clip. Off: the median over slow frames."""

    slip_gated_by_speed: bool = True
    """Only feet slower than 0.05 m/s slip. Off: all that are low enough."""

    float_ungated: bool = True
    """Float compares the feet's speed with the pelvis', whether they touch or not. Off: it is the
    frames on which nothing touches and the body is not in free flight."""

    joint_origins_as_soles: bool = True
    """Ankle and toe joints are what touches. Off: the corners of the humanoid's feet."""

    airborne_is_unbalanced: bool = True
    """A frame without contact has the largest balance violation, and balance counts in two axes.
    Off: it has none, and balance counts in one."""

    hard_gates: bool = True
    """A foot touches or it does not. Off: contact fades out up to 0.06 m and 0.5 m/s."""

    joint_limits_dead: bool = True
    """The joint-limit term is the variance of limb lengths, zero for any SMPL motion. Off: joints
    outside their range of motion."""

    low_force_limits: bool = True
    """3 body weights vertically and 0.5 horizontally. Off: 8 and 2.5."""

    effort_per_clip: bool = True
    """Work is counted in joules a clip. Off: in watts a kilogram."""

    failures_are_zeros: bool = True
    """A clip that cannot be scored has reward 0 (its status still says why). Off: NaN."""


QUIRK_NAMES: tuple[str, ...] = tuple(f.name for f in fields(ReferenceQuirks))
"""All switches, in the order of the table of mistakes."""


@dataclass(frozen=True, kw_only=True)
class ReferencePreset(Preset):
    """The published scorer (github.com/h6kplus/PhyMotion at 78f9544, `smpl_feasibility.py`)."""

    quirks: ReferenceQuirks = field(default_factory=ReferenceQuirks)
    """Which of its mistakes are made."""

    fps: float = 30.0
    """Frame rate that `fixed_frame_rate` plays every clip at."""

    contact_height_m: float = 0.02
    """`foot_height_thresh`."""

    contact_speed_m_s: float = 0.05
    """`foot_speed_thresh`."""

    float_ratio: tuple[float, float] = (0.6, 1.75)
    """`rho_lo`, `rho_hi`: a foot's speed relative to the pelvis, over the pelvis' own."""

    slip_scale_m: float = 0.05
    """`SLIP_NORM`."""

    penetration_scale_m: float = 0.05
    """`PEN_NORM`."""

    balance_scale_m: float = 0.5
    """Distance of the centre of mass from the support polygon at which balance is 1."""

    work_max_j: float = 10_000.0
    """`met_norm`."""

    speed_max_m_s: float = 5.0
    """`max_joint_vel`, of any link's origin."""

    jitter_m_s2: tuple[float, float] = (4.5, 90.0)
    """`jitter_baseline`, and what above it is violation 1."""

    @property
    def axes(self) -> Axes:
        """Its eleven parts, by our names; those that a switch replaces have the replacement's."""
        quirks = self.quirks
        limits = "kin.limb_length" if quirks.joint_limits_dead else "kin.joint_limit"
        balance = ("dyn.balance",) if quirks.airborne_is_unbalanced else ()
        return {
            "kinematic": (limits, "kin.velocity", "kin.jitter", "kin.self_penetration"),
            "contact": ("con.slip", "con.ground_penetration", "con.float", "con.balance"),
            "dynamic": ("dyn.torque", "dyn.grf", "dyn.effort", *balance),
        }

    @property
    def details(self) -> tuple[str, ...]:
        """The published code's own sub-scores under its own names and in its own units."""
        return PUBLISHED_NAMES

    @property
    def failed_reward(self) -> float:
        """Zero, as published, or NaN."""
        return 0.0 if self.quirks.failures_are_zeros else float("nan")

    def without(self, *quirks: str) -> "ReferencePreset":
        """The same with some mistakes mended.

        Raises:
          UnknownNameError: with the names there are.
        """
        for quirk in quirks:
            if quirk not in QUIRK_NAMES:
                raise UnknownNameError("quirk", quirk, QUIRK_NAMES)
        mended = replace(self.quirks, **dict.fromkeys(quirks, False))
        return replace(self, name=f"{self.name} without {', '.join(quirks)}", quirks=mended)


PUBLISHED_NAMES: tuple[str, ...] = (
    *("joint_limit_violations", "velocity_violations", "jitter_combined"),
    *("v_slip", "v_pen", "v_float", "v_bal", "in_contact_any_frac"),
    *("s_tau", "s_grf", "s_met", "s_bal", "v_grf_vert", "v_grf_horiz", "MET"),
)
"""What the published code calls its sub-scores: violations v_, scores s_, jitter in m/s², MET in
joules."""


PAPER = PaperPreset(
    name="paper",
    # The published code takes 0.02 m for the origins of ankles and toes. In motion recovered from
    # video the soles of one standing person differ by up to 0.045 m in height. This project's.
    contact_height_m=0.05,
    # The published code's gate is 0.05 m/s of absolute speed, so that skating is no contact at all.
    # This one is relative to the other foot. A proposal of this project, not calibrated.
    swing_speed_m_s=0.4,
    # Without it the approach of a landing foot is slip: a jog reads 0.82 in place of 0.11. A
    # proposal of this project, tried on the real clips, not calibrated.
    landing_speed_m_s=0.25,
    # Flesh gives way, and capsules only stand in for the mesh. This project's.
    overlap_tolerance_m=0.03,
    slip_scale_m=0.05,  # the paper, section 3.2
    penetration_scale_m=0.05,  # the paper, section 3.2
    # In flight phases of captured jumps the needed force is 0.04 to 0.14 body weights, and a
    # hovering body needs 1: halfway.
    ballistic_tolerance=0.5,
    grf_max=3.0,  # the published code's limit of vertical force; the paper leaves F_max open
    # The published code lets a clip spend 10,000 J. Over its own video length (81 frames at 16
    # fps, 5.06 s) and its humanoid's 71.791 kg that is 27.5 W/kg.
    power_max_w_kg=27.5,
)
"""The ten parts of the paper's section 3.2 (arXiv 2605.14269), measured on sole points.

Speed tolerance and torque limit are the body's own, a joint at a time: the soft limits of angular
speed and the hard limits of torque in `assets/limits.json`."""

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
    static_height_m=0.01,  # 0.02 would spare hovering by 0.1 m half of what it costs
    touch_speed_m_s=Ramp(0.1, 0.4),  # a walking foot swings at 2 and more, a shuffling one at 0.5
    # Walking uses 0.2, dry shoes hold 0.5 to 1.0.
    friction=0.9,
    window_s=0.5,
    # Clean clips stay under 0.0165 rad in any half second, and 95 % of their frames under 1.7 mm;
    # 1 degree of white noise in every joint is 0.012 rad, 5 mm in the pelvis 3 mm, what is faster
    # than 10 Hz alone counting.
    jitter_rad=Ramp(0.01, 0.05),
    jitter_m=Ramp(0.002, 0.012),
    # Landing feet reach 0.08 rad, one drop jump's shoulders 0.2; landing pelvises 8 mm.
    pop_rad=Ramp(0.09, 0.25),
    pop_m=Ramp(0.01, 0.05),
    artefact_share=0.7,
    overlap_m=Ramp(0.03, 0.08),  # flesh gives way, and capsules only stand in for it
    range_excess_rad=Ramp(0.1, 0.6),  # beyond the table's margin of 10 degrees
    # Skating at 0.1 should be seen; of 30 clean clips the median one then has a violation of 0.08.
    slide_m_s=Ramp(0.065, 0.25),
    penetration_m=Ramp(0.03, 0.1),
    # In flight phases of captured jumps the needed force is 0.04 to 0.14; hovering needs 1.
    unsupported_bw=Ramp(0.2, 0.6),
    # Over captured clips the required centre of pressure lies 0 to 26 mm outside on average; of a
    # body that leans by 35 degrees, 210 to 690 mm.
    imbalance_m=Ramp(0.08, 0.3),
    # Walking 1.2, running 2.5 (Keller 1996), sprinting 3.5 to 4.5; triple jumps land at 7 to 12
    # (Ramey and Williams 1985, Perttunen 2000), unfiltered.
    vertical_bw=Ramp(4.0, 8.0),
    horizontal_bw=Ramp(1.0, 2.5),  # cutting and sprint starts reach 1
    # 90 s of cycling: 5.9 on average, 11.7 at the peak (JSSM 4:437).
    power_w_kg=Ramp(8.0, 20.0),
    peak_power_w_kg=Ramp(60.0, 100.0),  # counter-movement jumps 45 to 60 and more
    # Laboratory practice allows 5 % of the peak force (Hicks 2015, JBME 137:020905); recovered
    # motion is noisier.
    residual_bw=Ramp(0.1, 0.5),
    residual_moment_bw_m=Ramp(0.1, 0.4),
)
"""What `score` means where nothing else is asked for.

Where no source is named, soft ends were set by hand on the clips that README names, and hard ends
are proposals of this project: neither is calibrated on a set of its own yet. Limits of joint speed
and torque and ranges of motion are the body's, from `assets/limits.json`."""

REFERENCE = ReferencePreset(name="reference")
"""What the published code gives, mistakes included: to reproduce its results, not to judge by."""

_PRESETS: dict[str, Preset] = {preset.name: preset for preset in (PHYSICAL, PAPER, REFERENCE)}

PRESET_NAMES: tuple[str, ...] = tuple(_PRESETS)
"""Names that `get_preset` knows."""


def get_preset(preset: str | Preset) -> Preset:
    """A preset by name, or as it is.

    Raises:
      UnknownNameError: with the names there are.
    """
    if isinstance(preset, Preset):
        return preset
    if preset not in _PRESETS:
        raise UnknownNameError("preset", preset, PRESET_NAMES)
    return _PRESETS[preset]
