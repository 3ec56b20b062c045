"""What the laws of networks share: gradients before the activations, some of the samples, steps, and named instances."""

import dataclasses

import jax
import jax.numpy as jnp

import nctheory as nct


def backward(problem, params):
    """Return $G_l=\\partial\\mathrm{fit}/\\partial(W_lZ_{l-1}+b_l1^\\top)$ and $Z_{l-1}$ for every layer l, as two lists.

    The fit's gradient in W_l is $G_lZ_{l-1}^\\top$, and that in b_l the sum of the columns of G_l. They are found by adding
    to what each activation is given a matrix of zeros and differentiating in that.
    """

    def fit(shifts):
        reached, seen = jnp.asarray(problem.inputs), []
        for i, (weight, shift, name) in enumerate(zip(params.weights, shifts, problem.activations, strict=True)):
            seen.append(reached)
            reached = weight @ reached + shift
            if params.biases is not None:
                reached = reached + params.biases[i][:, None]
            reached = nct.networks.ACTIVATIONS[name](reached)
        return jnp.mean(problem.loss.value(reached, problem.targets)), seen

    samples = problem.inputs.shape[1]
    return jax.grad(fit, has_aux=True)([jnp.zeros((len(weight), samples)) for weight in params.weights])


def backward_size(problem, params, layer):
    """Bound the terms that G_l is made of: the slope of the loss, and of the logits the reach, times the norms above."""
    samples = problem.inputs.shape[1]
    reached = jnp.linalg.norm(problem.inputs)
    for i, weight in enumerate(params.weights):
        shift = jnp.zeros(1) if params.biases is None else params.biases[i]
        reached = jnp.linalg.norm(weight) * reached + jnp.sqrt(1.0 * samples) * jnp.linalg.norm(shift)
    size = (reached + jnp.linalg.norm(problem.targets) + jnp.sqrt(1.0 * samples)) / samples
    for weight in params.weights[layer + 1 :]:
        size = size * jnp.linalg.norm(weight)
    return size


def backward_scale(problem, logits, reached):
    """Bound the terms of the sum of the logits' products with the slope of the fit, for a reach of every logit.

    The slope is known to rounding of the logits, whose terms are their reach, of the targets, and of a probability.
    """
    slope = (
        jnp.abs(problem.loss.gradient(logits, problem.targets)) + reached + jnp.abs(jnp.asarray(problem.targets)) + 1.0
    )
    return jnp.sum(slope * reached) / logits.shape[1]


def on_samples(problem, chosen):
    """Return the same network on the samples of these numbers alone."""
    inputs, targets = (jnp.asarray(x)[:, jnp.asarray(chosen)] for x in (problem.inputs, problem.targets))
    return dataclasses.replace(problem, inputs=inputs, targets=targets)


def moved(params, *steps):
    """Add to the parameters multiples of directions, given as pairs."""
    for factor, direction in steps:
        params = jax.tree.map(lambda x, v, c=factor: x + c * v, params, direction)
    return params


def singular_values(matrix):
    """Return the singular values, from the largest on."""
    return jnp.linalg.svd(matrix, compute_uv=False)


def of_kind(kind, network, **fields):
    """Return the network as one of another class that has more fields."""
    kept = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    return kind(**kept, **fields)


def named(network, **more):
    """Make an instance of a network, described by its shape, its loss, its decays and what else is given."""
    linear = network.depth - next((i for i, name in enumerate(network.activations) if name == "identity"), 0)
    shown = {
        "widths": "-".join(map(str, network.widths)),
        "activation": network.activations[0],
        "linear layers": linear,
    }
    shown |= {"biases": "yes" if network.has_bias else "no", "loss": network.loss.name}
    decays = "-".join(f"{float(x):.2g}" for x in network.weight_decay)
    return nct.Instance(network, shown | {"decays": decays} | more)
