"""Parameters of small models by their names and shapes, exact in float32; `iscs-lic/tests/it/recipe.rs` computes the same."""

import numpy as np

# Residual blocks add up, so that their models need smaller weights to stay within tens.
GAINS = {
    "cheng2020-anchor": 0.9,
    "cheng2020-attn": 0.9,
    "cheng2020-anchor-checkerboard": 0.9,
    "elic2022-official": 1.2,
}
# Of the others.
GAIN = 1.5


def random(name, n):
    """`n` numbers from -0.5 below 0.5, by a hash of the name and the index; exact in float32."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    u = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        u ^= u >> np.uint32(shift)
        u *= np.uint32(factor)
    u ^= u >> np.uint32(16)
    return (u >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)


def recipe(name, shape, gain):
    """The parameter of this name and shape."""
    n = int(np.prod(shape))
    r, f = random(name, n), np.float32
    kind = name.split(".")[-1]
    inside = name.split("entropy_bottleneck.")[-1]
    if inside.startswith("matrices.4"):
        values = r * f(0.5) - f(0.125)
    elif inside.startswith("matrices."):
        values = r - f(1.5)
    elif inside.startswith("biases."):
        values = r
    elif inside.startswith("factors."):
        values = r * f(0.5)
    elif inside == "quantiles":
        values = r * f(4.0) + np.tile(np.array([-10, 0, 10], f), n // 3)
    elif kind == "beta":
        values = r * f(0.25) + f(1.0)
    elif kind == "gamma":
        values = r * f(0.125) + f(0.3125) * np.eye(shape[0], dtype=f).reshape(-1)
    elif kind == "bias":
        values = r * f(0.25)
    else:
        values = r * f(np.sqrt(12.0 / np.prod(shape[1:])) * gain)
    return values.astype(f).reshape(shape)
