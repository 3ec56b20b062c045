"""Small convolutional and residual networks in flax, as the instances of laws about them."""

from typing import Any

import numpy as np

import nctheory as nct

SAMPLES, CLASSES, IMAGE, FEATURES = 6, 2, (4, 4), 3


def drawn(rng, make, decay, shape, data=None, **options):
    """Build a named instance, on inputs without structure where no data are given."""
    if data is None:
        data = nct.networks.Data(rng.normal(size=(SAMPLES, *shape)), np.arange(SAMPLES) % CLASSES)
    network = nct.networks.module_on(data, make, weight_decay=decay, **options)
    form = {nct.networks.ConvNet: "convolutions", nct.networks.Transformer: "transformer"}.get(type(make), "blocks")
    form = "blocks with norms" if getattr(make, "normalised", False) else form
    shown = {"network": make.described, "form": form, "activation": getattr(make, "activation", "gelu")}
    shown |= {"linear layers": getattr(make, "linear", 1), "biases": "yes" if getattr(make, "bias", True) else "no"}
    decayed = "matrices" if options.get("matrices_only") else "all"
    return nct.Instance(network, shown | {"loss": network.loss.name, "decay": decay, "decayed": decayed})


def convolutions(rng, decay, channels=(3, 2), linear=2, activation="relu", bias=True, **options):
    """Build a network of convolutions."""
    make = nct.networks.ConvNet(channels, linear, IMAGE, CLASSES, bias, activation)
    return drawn(rng, make, decay, IMAGE, **options)


def blocks(rng, decay, normalised=False, number=2, width=3, activation="relu", bias=True, **options):
    """Build a network of residual blocks."""
    make = nct.networks.ResidualMLP(width, number, FEATURES, CLASSES, normalised, bias, activation)
    return drawn(rng, make, decay, (FEATURES,), **options)


def draw_instances(key):
    """Draw convolutions and blocks of all kinds, with decays of all arrays or of matrices alone, and without."""
    rng = nct.theorems.numpy_rng(key)
    some: dict[str, Any] = {"matrices_only": True}
    level = (10.0 ** rng.uniform(-2, -1, size=10)).tolist()
    return [
        convolutions(rng, level[0], bias=False),
        convolutions(rng, level[1]),
        convolutions(rng, level[2], loss="cross_entropy", channels=(2, 3, 2), linear=1, **some),
        convolutions(rng, level[3], activation="identity"),
        convolutions(rng, 0.0, activation="leaky_relu"),
        blocks(rng, level[4], bias=False),
        blocks(rng, level[5]),
        blocks(rng, level[6], loss="cross_entropy", number=3, **some),
        blocks(rng, level[7], normalised=True),
        blocks(rng, level[8], normalised=True, loss="cross_entropy", activation="leaky_relu", **some),
        blocks(rng, 0.0, activation="identity"),
    ]


def draw_tanh(key):
    """Draw networks of hyperbolic tangents, to which the laws do not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [convolutions(rng, 0.02, activation="tanh", linear=1), blocks(rng, 0.02, activation="tanh")]


def shown(**wanted):
    """Tell the instances whose parameters are these, of one parameter one of several."""
    return lambda i: all(
        i.parameters[name.replace("_", " ")] in (one if isinstance(one, tuple) else (one,))
        for name, one in wanted.items()
    )


def homogeneous(instance):
    """Tell whether a network is one of which the theorem speaks."""
    make = instance.problem.make
    known = isinstance(make, nct.networks.ConvNet | nct.networks.ResidualMLP)
    return known and make.activation in nct.networks.HOMOGENEOUS - {"absolute"}
