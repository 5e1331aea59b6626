"""Small random bodies with the keys that SMPL, SMPL-H and SMPL-X files have, made by nobody's data.

`python tests/random_body.py` writes tests/data/smplx_forward.npz: what the `smplx` package, in
float64, makes of them (`pip install smplx torch==2.13.0`).
"""

import pickle
import tempfile
from hashlib import blake2b
from importlib import import_module
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).parent / "data" / "smplx_forward.npz"
KINDS = {"smpl": 24, "smplh": 52, "smplx": 55}
"""Joints of each."""

VERTICES, FACES, FRAMES = 200, 300, 8
_BODY = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
_FACE = (15, 15, 15)
_KNUCKLE = {"smpl": (22, 23), "smplh": (25, 40), "smplx": (28, 43)}


def parents_of(kind: str) -> list[int]:
    """The kinematic tree of a kind: body, face, and five fingers of three joints a hand."""
    if kind == "smpl":
        return [*_BODY, 20, 21]
    parents = [*_BODY, *(_FACE if kind == "smplx" else ())]
    for wrist in (20, 21):
        for _ in range(5):
            first = len(parents)
            parents += [wrist, first, first + 1]
    return parents


def random_body(kind: str) -> dict[str, np.ndarray]:
    """A model of a kind. `RandomState` draws the same numbers in every version of NumPy.

    Vertices fill a box of a body's size, up to four joints move each, joints are means of five
    vertices; betas move vertices by centimetres and correctives by millimetres.
    """
    draw = np.random.RandomState(len(kind)).random_sample
    joints, columns = KINDS[kind], np.arange(VERTICES)
    weights = np.zeros((VERTICES, joints))
    for size in (8.0, 4.0, 2.0, 1.0):
        joint = (draw(VERTICES) * joints).astype(int)
        np.maximum.at(weights, (columns, joint), size * draw(VERTICES) * (draw(VERTICES) < 0.6))
    weights[columns, columns % joints] += 0.1
    regressor = np.zeros((joints, VERTICES))
    for _ in range(5):
        regressor[np.arange(joints), (draw(joints) * VERTICES).astype(int)] += 0.1 + draw(joints)
    tree = np.stack([np.array(parents_of(kind)), np.arange(joints)])
    betas = 20 if kind == "smplx" else 10
    arrays = {
        "v_template": (draw((VERTICES, 3)) - 0.5) * np.array([1.6, 1.8, 0.4]) + 0.1,
        "shapedirs": 0.03 * (draw((VERTICES, 3, betas)) - 0.5),
        "posedirs": 0.01 * (draw((VERTICES, 3, 9 * (joints - 1))) - 0.5),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
    }
    faces = (draw((FACES, 3)) * VERTICES).astype(np.uint32)
    # smplx holds float32; so that both start from the same numbers, so does the file.
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    return single | {"kintree_table": tree.astype(np.uint32), "f": faces}


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write a body, or one that somebody has changed."""
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def digest(body: dict[str, np.ndarray]) -> str:
    """Tells whether the body is the one that the fixture was made from."""
    return blake2b(b"".join(body[name].tobytes() for name in sorted(body))).hexdigest()[:32]


def random_frames(frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Betas ``(F, 10)`` and rotation vectors ``(F, 24, 3)``; the first frame is at rest."""
    draw = np.random.RandomState(seed).random_sample
    betas, pose = 4.0 * (draw((frames, 10)) - 0.5), 3.0 * (draw((frames, 24, 3)) - 0.5)
    pose[0], betas[0] = 0.0, 0.0
    return betas, pose


def smplx_forward(kind: str, betas: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``(F, V, 3)`` and the 24 joints ``(F, 24, 3)`` by `smplx`, relative to the pelvis.

    Fingers straight, face at rest. Hands turn in SMPL alone; the other kinds have no such joint.
    """
    smplx, torch = (import_module(name) for name in ("smplx", "torch"))  # no dependencies

    hands = {f"hands_{what}{side}": np.zeros(shape) for side in "lr"
             for what, shape in (("mean", 45), ("components", (45, 45)))}  # fmt: skip
    landmarks = {"lmk_faces_idx": np.zeros(51, int), "lmk_bary_coords": np.ones((51, 3)) / 3.0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "body.pkl"
        path.write_bytes(pickle.dumps(random_body(kind) | hands | landmarks))
        options = {"flat_hand_mean": True, "use_pca": False} if kind != "smpl" else {}
        make = {"smpl": smplx.SMPL, "smplh": smplx.SMPLH, "smplx": smplx.SMPLX}[kind]
        model = make(str(path), ext="pkl", dtype=torch.float64, batch_size=len(pose), **options)
    # It picks out a nose and toes among thousands of vertices; these have none.
    model.vertex_joint_selector.extra_joints_idxs = torch.zeros(0, dtype=torch.long)
    body = pose[:, 1:] if kind == "smpl" else pose[:, 1:22]
    out = model(
        betas=torch.tensor(betas),
        global_orient=torch.tensor(pose[:, 0]),
        body_pose=torch.tensor(body.reshape(len(pose), -1)),
    )
    vertices, joints = out.vertices.detach().numpy(), out.joints.detach().numpy()
    root = joints[:, :1]
    return vertices - root, joints[:, [*range(22), *_KNUCKLE[kind]]] - root


def main() -> None:
    """Write the fixture."""
    betas, pose = random_frames(FRAMES, seed=1)
    numbers = {"betas": betas, "pose": pose}
    for kind in KINDS:
        vertices, joints = smplx_forward(kind, betas, pose)
        numbers |= {
            f"{kind}_vertices": vertices.astype(np.float32),
            f"{kind}_joints": joints.astype(np.float32),
            f"{kind}_digest": np.array(digest(random_body(kind))),
        }
    np.savez_compressed(FIXTURE, **numbers)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
