"""Capsules of the default body, and which pairs of parts may not touch."""

from itertools import combinations

import numpy as np
import pytest
from default_body import arms_down, place
from scipy.spatial.transform import Rotation

from phymotion_jax.body.pairs import describe_pairs, separate_pairs, tree_distance
from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, PARENTS
from phymotion_jax.body.template import default_template

HULL_SLACK_M = 0.055  # how far a capsule may look out of its hull; measured: 48 mm, at the chest


def capsules(joints, local: Rotation) -> np.ndarray:
    """Ends (K, 2, 3) of the mean body's capsules in a pose."""
    ends = default_template().capsule_ends
    rotation, position = place(joints, local)
    placed = np.einsum("eij,ej->ei", rotation[ends.link], ends.mean) + position[ends.link]
    return np.stack(np.split(placed, 2), axis=1)


@pytest.mark.parametrize("degrees", [0.0, 40.0, 70.0])
def test_capsules_are_clear_at_rest(degrees):
    """No pair that must not overlap does, in the T-pose, with hanging arms and in between."""
    template = default_template()
    ends = capsules(template.joint_mean, arms_down(degrees))
    t = np.linspace(0.0, 1.0, 201)[:, None]
    cores = ends[:, None, 0] + t * (ends[:, None, 1] - ends[:, None, 0])
    pairs = separate_pairs(template)
    owner = template.capsule_ends.link[: len(ends)]
    gaps = [
        np.linalg.norm(cores[j][:, None] - cores[k][None], axis=-1).min()
        - template.capsule_radius[[j, k]].sum()
        for a, b in pairs
        for j in np.flatnonzero(owner == a)
        for k in np.flatnonzero(owner == b)
    ]
    assert min(gaps) > 0.0


def test_capsules_reach_as_far_as_their_hulls(rng):
    """On average over all directions, or up to 17 mm less; and never much farther."""
    template = default_template()
    ends, radius = template.capsule_ends, template.capsule_radius
    assert (radius > 0.0).all()
    ways = rng.normal(size=(20_000, 3))  # the means move by 0.06 mm from draw to draw
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    reach = ends.mean @ ways.T + np.tile(radius, 2)[:, None]
    for link in np.unique(template.hull.link):
        hull = (template.hull.mean[template.hull.link == link] @ ways.T).max(axis=0)
        capsule = reach[ends.link == link].max(axis=0)
        assert -0.017 < capsule.mean() - hull.mean() < 0.004, BODY_NAMES[link]
        assert (capsule - hull).max() < HULL_SLACK_M, BODY_NAMES[link]


def test_pairs_are_parts_that_can_collide():
    """Both arms with the legs, the other arm and the head; no neighbours, no clasped hands."""
    pairs = separate_pairs(default_template())
    names = describe_pairs(pairs)
    assert len(set(pairs)) == len(pairs) == len(names)
    assert "left_elbow - right_elbow" in names
    assert "left_ankle - right_ankle" in names
    assert "head - left_hand" in names
    assert "left_hand - right_hand" not in names
    assert all(a < b and tree_distance(a, b, PARENTS) > 2 for a, b in pairs)
    mirrored = {name.replace("left", "*").replace("right", "left") for name in names}
    both = {frozenset(name.replace("*", "right").split(" - ")) for name in mirrored}
    assert both == {frozenset(name.split(" - ")) for name in names}


def test_tree_distance_is_that_of_a_graph():
    """By breadth-first search over the undirected tree."""
    links = [
        {PARENTS[k], *(c for c in range(N_BODIES) if PARENTS[c] == k)} for k in range(N_BODIES)
    ]
    for a, b in combinations(range(N_BODIES), 2):
        reached, steps = {a}, 0
        while b not in reached:
            reached |= {n for k in reached for n in links[k] if n >= 0}
            steps += 1
        assert tree_distance(a, b, PARENTS) == steps
