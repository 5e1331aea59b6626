"""The ten parts of the paper's section 3.2."""

from dataclasses import dataclass

from phymotion_jax.presets.base import Axes, Preset


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
    """Capsules or hulls that overlap by more than this pass through each other."""

    slip_scale_m: float
    """A foot that slides this far in one stance has slip 1."""

    penetration_scale_m: float
    """A sole this far below the floor has ground_penetration 1."""

    ballistic_tolerance: float
    """In the air, a force of more than this many body weights is not free flight."""

    grf_max: float
    """Ground force, in body weights, above which it is too large. Twice of it is violation 1."""

    power_max_w_kg: float
    """Torque times speed, summed over the joints, in W/kg, at which effort is 1."""

    @property
    def axes(self) -> Axes:
        """The paper's ten parts."""
        return {
            "kinematic": ("kin.velocity", "kin.self_penetration", "kin.joint_limit"),
            "contact": ("con.slip", "con.ground_penetration", "con.float", "con.balance"),
            "dynamic": ("dyn.torque", "dyn.grf", "dyn.effort"),
        }


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
    self_penetration="mesh",  # the paper, section 3.2
    # Flesh gives way, and capsules and hulls only stand in for the mesh. This project's.
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
