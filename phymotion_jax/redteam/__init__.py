"""Controlled violations: clean clips made wrong in one known way, to test a scorer against.

    >>> from phymotion_jax.redteam import VIOLATIONS, violate
    >>> skating = violate(motion, "skate_fast", strength="strong")
    >>> VIOLATIONS["skate_fast"].parts
    ('con.slip',)

Everything is plain numpy on the host, `Motion` in and `Motion` out. `VIOLATIONS` is the table of
what there is, with strengths, units, reasons and the parts of the score that should see it;
`CONTROLS` are edits of the same form that none should punish: a held frame, an estimator's noise.
"""

from phymotion_jax.redteam.table import CONTROLS, VIOLATIONS, violate
from phymotion_jax.redteam.timing import freeze
from phymotion_jax.redteam.turns import add_noise
from phymotion_jax.redteam.violation import LEVELS, Violation

__all__ = ["CONTROLS", "LEVELS", "VIOLATIONS", "Violation", "add_noise", "freeze", "violate"]
