"""GVHMR's `hmr4d_results.pt`, what the `gvhmr` package's `MotionResult.save` writes, and the
published scorer's caches of either."""

import zipfile

import numpy as np

from phymotion_jax.body.skeleton import STATIC_JOINTS
from phymotion_jax.checks import real_array
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.raw import KNOWN_KINDS, RawClip, as_rows, listed, one_body
from phymotion_jax.io.torch_zip import Tensor, TorchZip

GVHMR_FPS = 30.0
"""Frame rate of every result: the network is trained at 30, and the tool resamples the video to it
(the `gvhmr` package leaves videos of 28.5 to 31.5 as they are, and calls them 30)."""

_WORLD = "smpl_params_global"
_NETWORK, _STATIC = "net_outputs", "static_conf_logits"
_CACHE = "pred"
"""Where the published scorer's caches hold GVHMR's result."""


def read_gvhmr(archive: zipfile.ZipFile) -> RawClip:
    """Take the clip in the gravity-aligned frame, y up.

    Betas may vary a little over the frames, where a version of the tool does not average them:
    their mean is the clip's body.
    """
    file = TorchZip(archive)
    root = file.root
    if type(root) is dict and type(root.get(_CACHE)) is dict:
        root = root[_CACHE]
    params = root.get(_WORLD) if type(root) is dict else None
    if type(params) is not dict:
        held = listed(file.root) if type(file.root) is dict else f"a {type(file.root).__name__}"
        raise MotionError(
            Status.UNREADABLE,
            f"a torch file without {_WORLD}; it holds {held}; {KNOWN_KINDS}",
        )
    transl = as_rows(f"{_WORLD}.transl", _member(file, params, "transl"), (3,))
    global_orient = _member(file, params, "global_orient")
    body_pose = _member(file, params, "body_pose")
    betas = _member(file, params, "betas") if "betas" in params else None
    return RawClip(
        transl=transl,
        global_orient=as_rows(f"{_WORLD}.global_orient", global_orient, (3,)),
        body_pose=as_rows(f"{_WORLD}.body_pose", body_pose, (63,)),
        betas=None if betas is None else one_body(f"{_WORLD}.betas", betas, len(transl)),
        fps=GVHMR_FPS,
        mass_kg=None,
        up="y",
        source="gvhmr-pt",
        static_conf=_static_conf(file, root, len(transl)),
    )


def _static_conf(file: TorchZip, root: dict, n_frames: int) -> np.ndarray | None:
    """Probabilities ``(T, 6)`` from the network's logits; None in files that do not keep them.

    The network is trained to tell joints slower than a speed from others, by the step to the next
    frame, and GVHMR's post-processing holds those above 0 still (`hmr4d/model/gvhmr`,
    `gvhmr_pipeline.py` and `utils/postprocess.py`).
    """
    network = root.get(_NETWORK)
    tensor = network.get(_STATIC) if type(network) is dict else None
    if tensor is None:
        return None
    field, wanted = f"{_NETWORK}.{_STATIC}", (1, n_frames, len(STATIC_JOINTS))
    logits = real_array(field, _array(file, field, tensor))
    if logits.shape not in (wanted, wanted[1:]):
        raise MotionError(Status.BAD_SHAPE, f"{field} is {logits.shape}, {wanted} was wanted")
    # The sigmoid, for logits of any size. NaN stays NaN, which means unknown.
    return 0.5 + 0.5 * np.tanh(0.5 * logits.reshape(wanted[1:]))


def _member(file: TorchZip, params: dict, name: str) -> np.ndarray:
    field = f"{_WORLD}.{name}"
    if name not in params:
        raise MotionError(Status.UNREADABLE, f"no {field}; {_WORLD} holds {listed(params)}")
    return _array(file, field, params[name])


def _array(file: TorchZip, field: str, tensor: object) -> np.ndarray:
    if type(tensor) is not Tensor:
        raise MotionError(
            Status.UNREADABLE, f"{field} is a {type(tensor).__name__}, a tensor was wanted"
        )
    return file.array(field, tensor)
