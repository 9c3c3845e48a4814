"""Make networks.npz: scores and gradients of every tiny network, from PyTorch."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oracles.drawn import CLASSES, STORED, STORED_SIZE, drawn, gradient_numbers, image_size, normal, sample
from oracles.torch_networks import with_gradients


def shapes(name):
    """Return the shapes of a network's parameters and running statistics."""
    import atrous

    params, state = atrous.build(name, classes=CLASSES).init(np.random.default_rng(0))
    return {key: a.shape for key, a in {**params, **state}.items()}


def entries(name, arrays, *, train):
    """Return what is stored of one network in one mode."""
    x = normal(name, (2, 3, *image_size(name, *STORED_SIZE)))
    dy = normal(f"{name} dy", (2, CLASSES, *x.shape[2:]))
    found, grads, dx = with_gradients(name, arrays, x, {"logits": dy}, train=train)
    mode = "train" if train else "eval"
    values = {key: sample(found[key], most) for key, most in STORED[mode].items()}
    values["gradients"] = gradient_numbers({**grads, "x": dx})
    return {f"{name}/{mode}/{key}": a for key, a in values.items()}


def all_entries(shapes_of):
    """Return the file's arrays for networks given as {name: {key: shape}}."""
    arrays = {}
    for name, of_keys in sorted(shapes_of.items()):
        p = {key: drawn(key, shape) for key, shape in of_keys.items()}
        # Batch norms of v2 are frozen: they have no training mode of their own.
        normed = any(key.endswith("running_var") for key in p) and "deeplabv2" not in name
        for train in (False, True) if normed else (False,):
            arrays.update(entries(name, p, train=train))
    return arrays


def main():
    import atrous

    path = Path(__file__).with_name("networks.npz")
    # Networks of other projects have their own oracle, torch_projects.
    others = ("tiny_smp_", "tiny_mmseg_", "tiny_jfzhang_")
    tiny = [name for name in atrous.networks() if name.startswith("tiny_") and not name.startswith(others)]
    arrays = all_entries({name: shapes(name) for name in tiny})
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(tiny)} networks, {len(arrays)} arrays, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
