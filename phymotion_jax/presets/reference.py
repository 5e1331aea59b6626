"""What the published code computes, mistakes included."""

from dataclasses import dataclass, field, fields, replace

from phymotion_jax.errors import UnknownNameError
from phymotion_jax.presets.base import Axes, Level, Preset


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

    crossing_percent: tuple[float, float] = (2.0, 18.0)
    """Pairs of crossing triangles, in percent of all triangles: where the violation begins, and how
    much more of them is violation 1."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """The published code has a mesh or nothing. Without one the term counts as none."""
        return ("mesh",)

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


REFERENCE = ReferencePreset(name="reference")
"""What the published code gives, mistakes included: to reproduce its results, not to judge by."""
