"""Several hosts in one call: each brings its own clips, and scores them on its own devices.

    python benchmarks/several_hosts.py --local 2
    srun python benchmarks/several_hosts.py
    python benchmarks/several_hosts.py --coordinator host0:8476 --processes 2 --process 0

`--local` tries it on one machine's CPU, with so many processes. Under SLURM, JAX finds the others
by itself; elsewhere it has to be told. Each process compares its clips' rewards with those of a
call of its own, and all of them print the same mean over everybody's clips.
"""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import NamedSharding, PartitionSpec

from phymotion_jax import MotionBatch, Scorer, score
from phymotion_jax.bench.cases import demo_batch

ATOL = 1e-5
"""Of a reward: the same float32 arithmetic in programs of other shapes."""


@dataclass(frozen=True)
class Options:
    """Who takes part."""

    local: int = 0
    """Start so many processes here, on the CPU, and wait for them."""

    coordinator: str | None = None
    """Address and port of process 0; by default what the scheduler says."""

    processes: int | None = None
    """How many there are."""

    process: int | None = None
    """Which of them this is, from 0."""

    clips: int = 8
    """Clips that each device scores."""

    frames: int = 64
    """Frames a clip."""

    preset: str = "physical"
    """Which scores."""


def start_here(options: Options) -> int:
    """As many processes as were asked for, on this machine's CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    same = ["--clips", str(options.clips), "--frames", str(options.frames)]
    command = [sys.executable, __file__, *same, "--preset", options.preset]
    command += ["--coordinator", address, "--processes", str(options.local)]
    started = [
        subprocess.Popen(
            [*command, "--process", str(i)], env={**os.environ, "JAX_PLATFORMS": "cpu"}
        )
        for i in range(options.local)
    ]
    return max(abs(process.wait()) for process in started)


def score_together(own: MotionBatch, preset: str) -> tuple[np.ndarray, float]:
    """Rewards of this host's clips, and the mean reward of everybody's."""
    scorer = Scorer(preset, devices=jax.devices())  # of all hosts
    assert scorer.mesh is not None
    sharding = NamedSharding(scorer.mesh, PartitionSpec(*scorer.mesh.axis_names))
    batch = jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), own
    )

    @jax.jit
    def run(batch: MotionBatch):
        rewards = scorer(batch).reward
        return rewards, jnp.nanmean(rewards)

    rewards, mean = run(batch)
    here = sorted(rewards.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([shard.data for shard in here]), float(mean)


def main(options: Options) -> int:
    """Join, score, compare; 1 where the two ways differ."""
    if options.local:
        return start_here(options)
    jax.distributed.initialize(options.coordinator, options.processes, options.process)
    rank, count = jax.process_index(), jax.process_count()
    clips = options.clips * jax.local_device_count()
    own = demo_batch(clips, options.frames, seed=rank)
    rewards, mean = score_together(own, options.preset)
    alone = np.asarray(score(own, preset=options.preset).reward)
    differ = float(np.nanmax(np.abs(rewards - alone)))
    missing = not np.array_equal(np.isnan(rewards), np.isnan(alone))
    print(
        f"process {rank} of {count}: {clips} clips on {jax.local_device_count()} of "
        f"{jax.device_count()} devices, mean of all {mean:.6f}, from alone at most {differ:.1e}",
        flush=True,
    )
    jax.distributed.shutdown()
    return int(missing or differ > ATOL)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
