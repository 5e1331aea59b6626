"""What runs on clusters: two processes in one call, and the snippets of benchmarks/CLUSTERS.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "benchmarks" / "CLUSTERS.md").read_text()


def snippets(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_two_processes_score_in_one_call():
    """Each compares its clips with a call of its own, and fails where they differ."""
    command = [sys.executable, str(ROOT / "benchmarks" / "several_hosts.py"), "--local", "2"]
    command += ["--clips", "2", "--frames", "16", "--preset", "reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if line.startswith("process"))
    assert [line.partition(":")[0] for line in said] == ["process 0 of 2", "process 1 of 2"]
    means = {re.search(r"mean of all ([\d.]+)", line).group(1) for line in said}  # pyright: ignore
    assert len(means) == 1


def test_shell_snippets_parse():
    scripts = snippets("bash")
    assert len(scripts) >= 3
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (script, done.stderr)


def test_manifests_parse():
    """Kinds, and that what is mounted is declared and what the Job counts is what it divides by."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    job, ray_job, cluster = map(yaml.safe_load, snippets("yaml"))
    assert (job["kind"], ray_job["kind"], cluster["cluster_name"]) == ("Job", "RayJob", "phymotion")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert f'$JOB_COMPLETION_INDEX/{job["spec"]["completions"]}"' in container["args"][0]
    groups = ray_job["spec"]["rayClusterSpec"]
    pods = [job["spec"], groups["headGroupSpec"], *groups["workerGroupSpecs"]]
    for spec in (pod["template"]["spec"] for pod in pods):
        mounted = {m["name"] for c in spec["containers"] for m in c["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
    (workers,) = groups["workerGroupSpecs"]
    assert f"--actors {workers['replicas']} " in ray_job["spec"]["entrypoint"]
