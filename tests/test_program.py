"""The program that the compiler is given: the same in every process, so that it is found again."""

import inspect
import os
import subprocess
import sys
from functools import partial

import jax
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh
from motions import batch_of, clip

from phymotion_jax import score

CODE = """
import hashlib, jax
from phymotion_jax import MotionBatch, Scorer, load_motion
from phymotion_jax.assets import demo_clips
batch = MotionBatch.from_motions([load_motion(path) for path in demo_clips()[:2]])
text = Scorer("{preset}").lower(batch).as_text()
print(len(text.splitlines()), hashlib.sha1(text.encode()).hexdigest())
"""


@pytest.mark.parametrize("preset", ["physical", "reference"])
def test_same_in_every_process(preset):
    """Strings hash differently in each process, and sets of them come in another order: a program
    that is written in that order is compiled anew each time, whatever a cache holds."""
    argv = [sys.executable, "-c", CODE.format(preset=preset)]
    environment = [os.environ | {"PYTHONHASHSEED": str(seed)} for seed in (1, 2)]
    runs = [subprocess.Popen(argv, env=e, stdout=subprocess.PIPE, text=True) for e in environment]
    first, second = (run.communicate()[0].split() for run in runs)
    assert int(first[0]) > 1000
    assert first == second


SINGLE = """
import jax, jax.numpy as jnp
from phymotion_jax import MotionBatch, load_motion, score
from phymotion_jax.assets import demo_clips
batch = MotionBatch.from_motions([load_motion(demo_clips()[0])])
def reward(root_pos, **settings):
    report = score(batch.replace(root_pos=root_pos.astype(batch.root_pos.dtype)), **settings)
    return jnp.sum(report.reward.astype(root_pos.dtype)), report
double = batch.root_pos.astype(jnp.float64)
slope, report = jax.eval_shape(jax.grad(reward, has_aux=True), double)
print(slope.dtype, *{x.dtype for x in jax.tree.leaves(report) if x.dtype.kind == "f"})
report = jax.eval_shape(lambda batch: score(batch, preset="reference"), batch.replace(
    **{k: v.astype(double.dtype) for k, v in vars(batch).items() if getattr(v, "ndim", 0)
       if v.dtype.kind == "f"}))
print(*{x.dtype for x in jax.tree.leaves(report) if x.dtype.kind == "f"})
"""


def test_single_precision_stays_single():
    """Where JAX has doubles switched on: one constant that is a double makes doubles of all that it
    meets, and kernels for GPUs take none. Batches of doubles are scored in doubles."""
    environment = os.environ | {"JAX_ENABLE_X64": "1"}
    argv = [sys.executable, "-c", SINGLE]
    found = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True)
    assert found.stdout.split() == [b"float64", b"float32", b"float64"]


LOWERED = """
import sys, jax.numpy as jnp
sys.modules["jax.experimental.pallas.triton"] = None
from phymotion_jax.kernels.support import hull_distance
plane = jnp.zeros((1, 4)), jnp.zeros((1, 4))
points = jnp.zeros((3, 1, 4)), jnp.zeros((3, 1, 4))
traced = hull_distance.trace(plane, points, jnp.ones((3, 1, 4), bool))
print("triton" in traced.lower(lowering_platforms=("cuda",)).as_text().lower())
"""


def test_gpus_do_without_triton():
    """Pallas' back end of that name is deprecated: a jax that lacks it gets plain XLA."""
    found = subprocess.run([sys.executable, "-c", LOWERED], stdout=subprocess.PIPE, check=True)
    assert found.stdout.strip() == b"False"


KERNELS = {"hull": 12, "capsule": 10}
"""Of the whole score: `hull` looks once and searches twice, and two smooth twice."""


@pytest.mark.skipif(
    "platform" not in inspect.signature(AbstractDevice).parameters,
    reason="this jax asks for a GPU to lower kernels for one",
)
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")
@pytest.mark.parametrize("level", KERNELS)
def test_every_kernel_can_be_written_for_an_nvidia_gpu(level):
    """Triton has fewer operations than XLA has, which a machine without a GPU can tell too."""
    device = AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=132, platform="cuda")
    batch = batch_of(clip(frames=60))
    with use_abstract_mesh(AbstractMesh((1,), ("one",), abstract_device=device)):
        traced = jax.jit(partial(score, self_penetration=level)).trace(batch)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("xla.gpu.triton") == KERNELS[level]
