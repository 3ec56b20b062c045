"""The two structures of a deep chain with cross-entropy, built as points of the network: what is observed of them there."""

import jax
import jax.numpy as jnp

import nctheory as nct


def turned(structure, problem, params):
    """Build a point with the structure's product, its internal spaces turned by matrices taken from `params`."""
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
    """Observe the objective at a turned copy of a structure."""
    return lambda problem, params: problem.objective(turned(structure_of(problem), problem, params))


def gradient_at(structure_of, stretch=1.0):
    """Observe the gradient at a turned copy of a structure whose product is `stretch` times as large, as a vector."""

    def gradient(problem, params):
        structure = structure_of(problem)
        stretched = structure._replace(product=stretch * structure.product)
        return nct.problems.ravel(problem.value_and_grad(turned(stretched, problem, params))[1])

    return gradient


def decay_at(structure_of):
    """Measure the norm of the gradient of the decay terms alone."""

    def norm(problem, params):
        point = turned(structure_of(problem), problem, params)
        squares = [jnp.sum(x**2) for x in jax.tree.leaves(point)]
        return jnp.sqrt(jnp.sum(jnp.asarray(problem.weight_decay) ** 2 * jnp.stack(squares)))

    return norm


def terms_at(structure_of):
    """Measure the terms that cancel in the gradient, by the norm of the point."""
    return lambda problem, params: jnp.linalg.norm(nct.problems.ravel(turned(structure_of(problem), problem, params)))


def critical_structure(problem):
    """Return the low-rank structure where it is critical, and for odd K, where it is not, neural collapse."""
    return nct.closed_form.low_rank(problem) if problem.classes % 2 == 0 else nct.closed_form.deep_collapse(problem)


def critical(name, statement, structure_of, stretch=1.0):
    """Claim that the gradient vanishes at a structure, or at one whose product is `stretch` times as large."""
    return nct.Equality(
        name,
        statement,
        gradient_at(structure_of, stretch),
        lambda v: jnp.zeros(()),
        scope="any point",
        terms=terms_at(structure_of),
        size=decay_at(structure_of),
    )


def at_scale(stretch=1.0):
    """Make both claims about criticality, with products `stretch` times as large."""
    return (
        critical("collapse is critical", r"\nabla f=0", nct.closed_form.deep_collapse, stretch),
        critical("low rank is critical", r"\nabla f=0\mathrm{\ for\ even\ }K", critical_structure, stretch),
    )
