"""Writes `published_humanoid.json`: the numbers of the humanoid that the published scorer uses.

    python -m phymotion_jax.assets.make_published_humanoid smpl_humanoid.xml

The file comes with a checkout of github.com/h6kplus/PhyMotion, beside its scorer. What is written
are the numbers that MuJoCo compiles it to, a row a link; no text of the file is kept.
"""

import json
import sys
from pathlib import Path

import mujoco
import numpy as np

_ORIGIN = (
    "Compiled by MuJoCo from smpl_humanoid.xml of github.com/h6kplus/PhyMotion (MIT licence, "
    "copyright its authors) at commit 78f9544, which has it from github.com/ZhengyiLuo/PHC "
    "(BSD 3-Clause Clear). Torque limits: TORQUE_LIMITS of its smpl_feasibility.py."
)
_TORQUE_LIMITS_NM = {
    **{"Hip": 400.0, "Knee": 300.0, "Ankle": 200.0, "Toe": 100.0},
    **{"Torso": 200.0, "Spine": 200.0, "Chest": 200.0, "Neck": 100.0, "Head": 100.0},
    **{"Thorax": 150.0, "Shoulder": 150.0, "Elbow": 100.0, "Wrist": 50.0, "Hand": 30.0},
}
_DIGITS = 10


def main(source: str) -> None:
    """Compile the model and write the table beside this file."""
    model = mujoco.MjModel.from_xml_path(source)
    links = {model.body(b).name: _link(model, b) for b in _by_level(model)}
    table = {
        "origin": _ORIGIN,
        "units": "m, kg, kg m2 (xx yy zz xy xz yz about the centre of mass), degrees, N m",
        "links": links,
    }
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in links.items())
    head = json.dumps({k: v for k, v in table.items() if k != "links"}, indent=1)[:-2]
    text = f'{head},\n "links": {{\n{rows}\n }}\n}}\n'
    assert json.loads(text) == table
    Path(__file__).with_name("published_humanoid.json").write_text(text)


def _by_level(model: mujoco.MjModel) -> list[int]:
    order, level = [], [1]
    while level:
        order += level
        level = [c for p in level for c in range(1, model.nbody) if model.body_parentid[c] == p]
    return order


def _link(model: mujoco.MjModel, body: int) -> dict:
    """A row: everything in the link's own axes, which are the model's at rest."""
    assert np.array_equal(model.body_quat[body], [1.0, 0.0, 0.0, 0.0])
    frame = np.zeros(9)
    mujoco.mju_quat2Mat(frame, model.body_iquat[body])
    axes = frame.reshape(3, 3)
    inertia = axes @ np.diag(model.body_inertia[body]) @ axes.T
    name = model.body(body).name
    parent = int(model.body_parentid[body])
    row = {
        "parent": model.body(parent).name if parent else None,
        "offset": _numbers(model.body_pos[body] if parent else np.zeros(3)),
        "mass": round(float(model.body_mass[body]), _DIGITS),
        "com": _numbers(model.body_ipos[body]),
        "inertia": _numbers([inertia[i] for i in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]),
    }
    if parent:
        first = int(model.body_jntadr[body])
        assert np.array_equal(model.jnt_axis[first : first + 3], np.eye(3))
        row["hinge_range_deg"] = [
            _numbers(np.degrees(model.jnt_range[j]), 4) for j in range(first, first + 3)
        ]
        row["armature"] = float(model.dof_armature[model.jnt_dofadr[first]])
        row["torque_limit"] = _TORQUE_LIMITS_NM[name.rpartition("_")[2]]
    if name.rpartition("_")[2] in ("Ankle", "Toe"):
        geom = int(model.body_geomadr[body])
        assert model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX
        row["box"] = {
            "centre": _numbers(model.geom_pos[geom]),
            "half_size": _numbers(model.geom_size[geom]),
        }
    return row


def _numbers(values, digits: int = _DIGITS) -> list[float]:
    return [round(float(v), digits) for v in values]


if __name__ == "__main__":
    main(sys.argv[1])
