"""MJCF in and out: what MuJoCo and MJX load, what is read from a user's file, what is refused."""

import re

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mjcf import to_mjcf
from phymotion_jax.body.mjcf_reader import from_mjcf
from phymotion_jax.errors import ModelError

ATOL = 2e-6  # metres and kilograms: nine printed digits of a float32

build = jax.jit(Humanoid.from_betas)


@pytest.fixture(scope="module")
def body():
    return build(jnp.linspace(-1.0, 1.0, 10), jnp.asarray(64.0))


def compiled(text: str) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(text)


def hull_of(body: Humanoid, link: int) -> np.ndarray:
    start = sum(body.hull_sizes[:link])
    return np.asarray(body.hull_point)[start : start + body.hull_sizes[link]]


# --- out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hulls", [True, False], ids=["hulls", "capsules"])
@pytest.mark.parametrize("floor", [True, False], ids=["floor", "no floor"])
def test_mujoco_loads_it(body, hulls, floor):
    """One body a link under its own name, with its mass; a geom a hull or a capsule."""
    model = compiled(to_mjcf(body, floor=floor, hulls=hulls))
    solid = sum(size > 0 for size in body.hull_sizes)
    assert model.nbody == 1 + body.n_links
    assert model.ngeom == (solid if hulls else len(body.capsule_link)) + floor
    assert model.nmesh == (solid if hulls else 0)
    for link, name in enumerate(body.body_names):
        mine = model.body(name)
        np.testing.assert_allclose(mine.mass, body.mass[link], atol=ATOL)
        parent = body.parents[link]
        above = body.body_names[parent] if parent >= 0 else "world"
        assert model.body(int(mine.parentid[0])).name == above
    np.testing.assert_allclose(model.body_mass.sum(), 64.0, rtol=1e-6)
    assert (model.nq, model.nv) == (7 + 4 * 23, 6 + 3 * 23)


def test_geoms_are_where_the_links_are(body):
    """By MuJoCo's kinematics at rest: joints add up along the tree, hull vertices sit on them."""
    model = compiled(to_mjcf(body))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    joint = np.zeros((body.n_links, 3))
    for link in range(1, body.n_links):
        joint[link] = joint[body.parents[link]] + body.offset[link]
    for link, name in enumerate(body.body_names):
        np.testing.assert_allclose(data.body(name).xpos, joint[link], atol=ATOL)
        if not body.hull_sizes[link]:
            continue
        geom = model.geom(name)
        mesh = model.mesh(int(geom.dataid[0]))
        start, count = int(mesh.vertadr[0]), int(mesh.vertnum[0])
        place = data.geom(name)
        vertex = model.mesh_vert[start : start + count] @ place.xmat.reshape(3, 3).T + place.xpos
        mine = hull_of(body, link) + joint[link]
        for bound in (np.min, np.max):
            np.testing.assert_allclose(bound(vertex, axis=0), bound(mine, axis=0), atol=10 * ATOL)


def test_mjx_loads_it(body):
    from mujoco import mjx  # noqa: PLC0415  slow to import

    model = mjx.put_model(compiled(to_mjcf(body, hulls=False, floor=False)), impl="jax")
    np.testing.assert_allclose(np.sum(model.body_mass), 64.0, rtol=1e-6)


def test_a_batch_is_refused(body):
    batch = jax.tree.map(lambda x: jnp.stack([x, x, x]), body)
    with pytest.raises(ModelError, match="one body was wanted, this humanoid has a batch of 3"):
        to_mjcf(batch)


@pytest.mark.parametrize("hulls", [True, False], ids=["hulls", "capsules"])
def test_what_is_written_is_read(body, hulls):
    """Points and capsules too, in the same link frames."""
    again = from_mjcf(to_mjcf(body, hulls=hulls))
    order = [again.body_names.index(name) for name in body.body_names]
    np.testing.assert_allclose(again.mass[np.array(order)], body.mass, atol=ATOL)
    assert again.contact_link
    assert len(again.contact_point) == len(again.contact_link)
    if hulls:
        for link, name in enumerate(body.body_names):
            mine = hull_of(body, link)
            if not len(mine):
                continue
            theirs = hull_of(again, order[link])
            np.testing.assert_allclose(
                theirs.min(axis=0), mine.min(axis=0), atol=10 * ATOL, err_msg=name
            )
            np.testing.assert_allclose(
                theirs.max(axis=0), mine.max(axis=0), atol=10 * ATOL, err_msg=name
            )
    else:
        count = len(body.capsule_link)
        assert len(again.capsule_link) == count
        owners = [order[link] for link in body.capsule_link]
        for row, owner in enumerate(owners):
            own = [k for k, link in enumerate(again.capsule_link) if link == owner]
            there = own[owners[:row].count(owner)]
            np.testing.assert_allclose(
                again.capsule_radius[there], body.capsule_radius[row], atol=ATOL
            )
            mine, theirs = (
                np.asarray(ends)[[k, k + count]]
                for ends, k in ((body.capsule_ends, row), (again.capsule_ends, there))
            )
            # MuJoCo may turn a capsule end for end.
            theirs = min(theirs, theirs[::-1], key=lambda ends: np.abs(ends - mine).max())
            np.testing.assert_allclose(theirs, mine, atol=10 * ATOL)


# --- in -------------------------------------------------------------------------------------------


def tree(inside: str, *, joint: str = "<freejoint/>", world: str = "", geom: str = "") -> str:
    """MJCF of a torso with whatever hangs on it."""
    geom = geom or '<geom name="trunk" size="0.1"/>'
    return (
        '<mujoco><compiler autolimits="true"/><worldbody>'
        f'{world}<body name="torso">{joint}{geom}{inside}</body></worldbody></mujoco>'
    )


def arm(joints: str) -> str:
    return f'<body name="arm" pos="0.2 0 0">{joints}<geom size="0.05"/></body>'


HINGE = '<joint type="hinge" axis="0 1 0"/>'
REFUSED = {
    "two free bodies": (
        tree("", world='<body name="ball"><freejoint/><geom size="0.1"/></body>'),
        "one tree with a free joint at its root was wanted, found 2",
    ),
    "nothing that moves": (
        tree("", joint=""),
        "one tree with a free joint at its root was wanted, found 0",
    ),
    "bolted to the floor": (
        tree("", joint=HINGE),
        "the root torso has mjJNT_HINGE; a free joint was wanted",
    ),
    "a slide joint": (
        tree(arm('<joint type="slide" axis="0 1 0"/>')),
        "arm has joints mjJNT_SLIDE; one ball or hinges were wanted",
    ),
    "a hinge and a slide joint": (
        tree(arm(f'{HINGE}<joint type="slide" axis="1 0 0"/>')),
        "arm has joints mjJNT_HINGE, mjJNT_SLIDE; one ball or hinges were wanted",
    ),
    "two anchors": (
        tree(arm(HINGE + '<joint type="hinge" axis="1 0 0" pos="0.1 0 0"/>')),
        "the hinges of arm have different anchors; one was wanted",
    ),
    "two armatures": (
        tree(arm(HINGE + '<joint type="hinge" axis="1 0 0" armature="0.3"/>')),
        "the joints of arm differ in armature; one value was wanted",
    ),
    "no XML": ("<mujoco><worldbody>", "MuJoCo cannot compile '<mujoco><worldbody>'"),
    "unknown element": (
        "<mujoco><wheel/></mujoco>",
        "MuJoCo cannot compile '<mujoco><wheel/></mujoco>'",
    ),
    "a missing file": ("no_such_robot.xml", "MuJoCo cannot compile 'no_such_robot.xml'"),
}


@pytest.mark.parametrize("text, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_represented_is_refused(text, message, monkeypatch, tmp_path):
    """In one error of ours that names the part and says what was wanted."""
    monkeypatch.chdir(tmp_path)  # MuJoCo may leave a log
    with pytest.raises(ModelError, match=re.escape(message)):
        from_mjcf(text)


def test_a_file_is_read_like_its_text(tmp_path):
    text = tree(arm(HINGE))
    path = tmp_path / "robot.xml"
    path.write_text(text)
    for source in (path, str(path)):
        again = from_mjcf(source)
        assert again.body_names == ("torso", "arm")
        np.testing.assert_array_equal(again.offset, from_mjcf(text).offset)


def test_scenery_is_left_out():
    """What hangs on the world without a joint is no part of the body."""
    scenery = (
        '<geom type="plane" size="1 1 1"/><body name="box"><geom type="box" size="1 1 1"/></body>'
    )
    got = from_mjcf(tree(arm(HINGE), world=scenery))
    assert got.body_names == ("torso", "arm")
    assert set(got.contact_link) == {0, 1}


def test_hinges_keep_their_ranges():
    """In radians whatever the file's unit; a hinge without a range has none."""
    joints = HINGE + '<joint type="hinge" axis="0 0 2" range="-30 90"/>'
    got = from_mjcf(tree(arm(joints)))
    np.testing.assert_allclose(got.hinge_range, [[-np.inf, np.inf], [-np.pi / 6, np.pi / 2]])
    np.testing.assert_allclose(got.hinge_axis, [[0, 1, 0], [0, 0, 1]], atol=ATOL)
    assert got.hinge_link == (1, 1)
    assert np.isinf(got.speed_limit).all()
    assert got.ranges == ()


GEOMS = {  # a geom and half its extents, as it stands in a link that is not turned
    "sphere": ('<geom type="sphere" size="0.1"/>', (0.1, 0.1, 0.1)),
    "box": ('<geom type="box" size="0.1 0.2 0.3"/>', (0.1, 0.2, 0.3)),
    "ellipsoid": ('<geom type="ellipsoid" size="0.1 0.2 0.3"/>', (0.1, 0.2, 0.3)),
    "capsule": ('<geom type="capsule" size="0.1 0.3"/>', (0.1, 0.1, 0.4)),
    "cylinder": ('<geom type="cylinder" size="0.1 0.3"/>', (0.1, 0.1, 0.3)),
    "lying capsule": (
        '<geom type="capsule" fromto="-0.3 0 0 0.3 0 0" size="0.1"/>',
        (0.4, 0.1, 0.1),
    ),
}


@pytest.mark.parametrize("text, half", GEOMS.values(), ids=GEOMS.keys())
def test_contact_points_reach_as_far_as_the_geom(text, half):
    """Upright, and in a link that the file turns: our links are aligned with the world at rest."""
    upright = from_mjcf(tree("", geom=text))
    np.testing.assert_allclose(np.max(upright.contact_point, axis=0), half, atol=ATOL)
    np.testing.assert_allclose(np.min(upright.contact_point, axis=0), -np.array(half), atol=ATOL)
    turned = from_mjcf(tree(f'<body euler="90 0 0">{HINGE}{text}</body>'))
    points = np.asarray(turned.contact_point)[np.array(turned.contact_link) == 1]
    np.testing.assert_allclose(points.max(axis=0), np.array(half)[[0, 2, 1]], atol=ATOL)
