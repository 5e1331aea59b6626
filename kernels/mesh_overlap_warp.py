import jax
import jax.numpy as jnp
import numpy as np
from functools import cache
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.vectors import Vec
_GROUPS = 8192
ROOM=64
def raw(vertices: Vec, collider: MeshCollider, room=ROOM):
    import warp as wp
    from phymotion_jax.kernels import mesh_warp as mw
    kw = dict(vmap_method="sequential", module_preload_mode=wp.JaxModulePreloadMode.ALL_DEVICES)
    x, y, z = (jax.lax.stop_gradient(c).reshape(c.shape[0], -1) for c in vertices)
    frames = x.shape[1]
    c, l, p = collider.size.shape[0], len(collider.start)-1, len(collider.pairs)
    start = jnp.array(collider.start, jnp.int32)
    pair = jnp.array(collider.pairs, jnp.int32)
    none = jnp.zeros(1, jnp.int32)
    low, high = wp.jax_kernel(mw.cluster_boxes, 2, **kw)(x, y, z, collider.vertex, launch_dims=(c, frames), output_dims=(frames, c))
    plow, phigh = wp.jax_kernel(mw.part_boxes, 2, **kw)(low, high, start, launch_dims=(frames, l), output_dims=(frames, l))
    nc, near = wp.jax_kernel(mw.near_parts, 2, in_out_argnames=["count"], **kw)(plow, phigh, pair, none, launch_dims=(frames, p), output_dims=(frames*p,))
    g = min(2048, 8*frames)
    cc, close = wp.jax_kernel(mw.near_clusters, 2, in_out_argnames=["count"], **kw)(low, high, start, pair, nc, near, g, 128, none, launch_dims=(g, 128), output_dims=(frames*room,))
    g = min(8192, 8*frames)
    most = max(np.diff(collider.start)[[a for a, _ in collider.pairs]])
    by_pair, hit = wp.jax_kernel(mw.hits, 2, in_out_argnames=["by_pair", "hit"], **kw)(
        x, y, z, collider.triangle, collider.size, low, high, start, pair, nc, near, cc, close, int(most), g, CLUSTER,
        jnp.zeros((p, frames), jnp.int32), jnp.zeros((c, frames), jnp.uint32), launch_dims=(g, CLUSTER))
    return nc, cc, by_pair, hit
