"""Points of a linear chain whose product is a given structure, and what is observed there."""

import jax.numpy as jnp

import nctheory as nct


def turned(structure, problem, params):
    """A point with the structure's product, its internal spaces turned by matrices taken from `params`."""
    product = jnp.asarray(structure.product)
    factors = problem.factors
    left, singular, right = jnp.linalg.svd(product, full_matrices=False)
    singular = jnp.where(singular > 1e-12 * singular[0], singular, 0.0)
    layers = nct.closed_form.layer_singular_values(problem, singular)
    turns = [jnp.linalg.qr(weight + jnp.eye(weight.shape[0]))[0] for weight in params.weights]
    weights = []
    for i in range(factors - 1):
        below = turns[i]
        above = turns[i + 1] if i + 1 < factors - 1 else left.T
        weights.append(above.T @ (layers[i][:, None] * below))
    features = turns[0].T @ (layers[-1][:, None] * right)
    return nct.problems.ChainParams(tuple(weights), features, None)


def value_at(structure_of):
    """Objective at a turned copy of a structure."""
    return lambda problem, params: problem.objective(turned(structure_of(problem), problem, params))


def gradient_at(structure_of, stretch=1.0):
    """Gradient at a turned copy of a structure whose product is `stretch` times as large, as a vector."""

    def gradient(problem, params):
        structure = structure_of(problem)
        stretched = structure._replace(product=stretch * structure.product)
        return nct.problems.ravel(problem.value_and_grad(turned(stretched, problem, params))[1])

    return gradient


def decay_at(structure_of):
    """Norm of the gradient of the decay terms alone."""

    def norm(problem, params):
        point = turned(structure_of(problem), problem, params)
        squares = [jnp.sum(x**2) for x in (*point.weights, point.features)]
        return jnp.sqrt(jnp.sum(jnp.asarray(problem.weight_decay) ** 2 * jnp.stack(squares)))

    return norm


def terms_at(structure_of):
    """Size of the decay terms that the gradient of the fit cancels."""
    return lambda problem, params: jnp.linalg.norm(nct.problems.ravel(turned(structure_of(problem), problem, params)))
