"""Clips over several devices and in pieces: the report is that of one call."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from motions import batch_of, clip, smooth

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.errors import ModelError
from phymotion_jax.scorer import Scorer

ATOL = 1e-5  # the same float32 arithmetic in another shape

ON_THREE = """
import json, sys
import jax, numpy as np
sys.path.insert(0, sys.argv[1])
from test_sharding import four, rows_of
from phymotion_jax.scorer import Scorer
batch, bodies = four()
assert len(jax.devices()) == 3
report = Scorer("paper", devices=jax.devices())(batch, bodies)
assert len(report.reward) == 4
print(json.dumps(rows_of(report.on_host())))
"""


def four():
    """Clips with bodies of their own, one that cannot be scored: three devices have two each."""
    clips = [clip(pose=smooth, fps=20.0 + 5.0 * k, frames=40 + k) for k in range(4)]
    batch = batch_of(*clips).replace(betas=jax.numpy.linspace(-1.0, 1.0, 40).reshape(4, 10))
    batch = batch.replace(fps=batch.fps.at[1].set(0.0))
    return batch, Humanoid.from_betas(batch.betas)


def rows_of(report) -> dict[str, list[float]]:
    columns = {"reward": report.reward, "status": report.status, **report.parts}
    return {name: np.asarray(c, float).tolist() for name, c in columns.items()}


@pytest.fixture(scope="module")
def whole():
    return rows_of(Scorer("paper")(*four()).on_host())


def assert_same(got, want):
    for name, column in want.items():
        np.testing.assert_allclose(got[name], column, atol=ATOL, err_msg=name)


def test_over_three_devices(whole):
    """In a process of its own, since a CPU's number of devices is set before JAX starts."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=3"
    command = [sys.executable, "-c", ON_THREE, os.path.dirname(__file__)]
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_same(json.loads(done.stdout.splitlines()[-1]), whole)


def test_in_pieces(whole):
    batch, bodies = four()
    on_host = jax.device_get((batch, bodies))
    report = Scorer("paper", clips_at_once=3)(*on_host)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(report))
    assert_same(rows_of(report), whole)


def test_lowered_program_is_the_call(whole):
    scorer, (batch, bodies) = Scorer("paper"), four()
    compiled = scorer.lower(batch, bodies).compile()
    assert_same(rows_of(compiled(*scorer.arguments(batch, bodies)).on_host()), whole)


@pytest.mark.parametrize("scorer", [Scorer("paper"), Scorer("paper", clips_at_once=3)])
def test_a_mass_a_clip_alone_is_refused(scorer):
    batch, bodies = jax.device_get(four())
    one = Humanoid.from_betas()
    with pytest.raises(ModelError, match=r"mass is \(\d, 24\) and its offset \(\d+, 3\); one for"):
        scorer(batch, one.replace(mass=bodies.mass))


def test_devices_that_do_not_serve():
    with pytest.raises(ValueError, match="devices: found none"):
        Scorer(devices=[])
    mesh = jax.make_mesh((1, 1), ("a", "b"))
    with pytest.raises(ValueError, match="one axis was wanted"):
        Scorer(devices=mesh)
    with pytest.raises(ValueError, match="clips_at_once: found 0"):
        Scorer(clips_at_once=0)
