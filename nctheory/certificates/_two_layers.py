"""Networks of two layers on given inputs, with a positively homogeneous activation between them: a convex program's dual."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.certificates._barrier import LARGEST, barrier_numbers, improved_dual, improves
from nctheory.certificates._convexity import doubtful_convexity
from nctheory.certificates._duality import SHRINKS
from nctheory.certificates._sectors import largest_response
from nctheory.engine import EPS, Array, Scalar, not_positive
from nctheory.problems import HOMOGENEOUS, ChainParams, DeepNonlinear, NoCertificate


def missing_two_layer_bound(problem: DeepNonlinear) -> str | None:
    """Why a network has no bound of this kind, or None."""
    if problem.depth != 2 or problem.inputs is None:
        return "only networks of two layers on given inputs are convex programs in their neurons"
    hidden = problem.activations[1]
    if problem.activations[0] != "identity" or any(problem.residual):
        return "an activation on the inputs, or a residual branch, is not covered by the bound of two layers"
    if not isinstance(hidden, str) or hidden not in HOMOGENEOUS:
        return (
            "the activation is not positively homogeneous, so that a neuron's size is not one number and the decay not a "
            f"norm; it is for {', '.join(sorted(HOMOGENEOUS))}"
        )
    if problem.bias_decay is not None:
        return "a bias at the output is not covered by the bound of two layers"
    if problem.widths[0] > 2:
        return (
            f"inputs of {problem.widths[0]} dimensions: the neuron that responds most to a dual point is known where inputs "
            "have one or two; in more the cells in which it has to be sought are too many"
        )
    if not problem.loss.has_conjugate:
        return f"the loss {problem.loss.label} defines no convex conjugate"
    return doubtful_convexity(problem)


def two_layer_caveat(problem: DeepNonlinear) -> str | None:
    """Why a positive gap may persist at a minimiser, or None where theory closes it."""
    if missing_two_layer_bound(problem) is not None:
        return None
    if any(not_positive(decay) for decay in problem.weight_decay):
        return "a layer without decay: only the loss's infimum bounds the minimum, and it need not be attained"
    columns = problem.targets.shape[1]
    numbers = (problem.classes - problem.loss.shift_invariant) * columns
    if not improves(problem.loss, numbers):
        return (
            f"the dual point is the gradient at the point, and not improved (it is for squared error and cross-entropy, of at "
            f"most {LARGEST} numbers): the gap is of first order in the distance from a minimiser"
        )
    needed = min(numbers, 2) if problem.widths[0] == 1 else numbers
    if problem.widths[1] >= needed:
        return None
    return (
        f"width {problem.widths[1]} is below {needed}, the number of neurons that the convex program may need: its minimum is "
        "still a lower bound, but it may lie strictly below the network's, so a gap above zero decides nothing"
    )


def two_layer_bound(problem: DeepNonlinear, params: ChainParams) -> Scalar:
    r"""A lower bound on the global minimum of a network of two layers on given inputs, from the dual of a convex program.

    Each neuron's term $\frac{\lambda_1}2|w_j|^2+\frac{\lambda_2}2|a_j|^2$ is at least $\lambda|a_j||w_j|$ with
    $\lambda=\sqrt{\lambda_1\lambda_2}$, and by positive homogeneity its part of the logits is $|a_j||w_j|$ times that of unit
    vectors. So with $z_i=\sum_ja_j\sigma(\langle w_j,x_i\rangle)$ and any U in the domain of the conjugate, $g_i=u_i/N$,

    $$\frac1N\sum_i\ell(z_i,y_i)\ge-\frac1N\sum_i\ell^*(u_i,y_i)+\sum_j\Big\langle a_j,\sum_ig_i\sigma(\langle
       w_j,x_i\rangle)\Big\rangle,$$

    and the last sum is at least $-\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|_2\sum_j|a_j||w_j|$. Where that maximum
    is at most $\lambda$, the minimum is at least $-\frac1N\sum_i\ell^*(u_i,y_i)$, for every width. The best such bound is the
    minimum of the convex program over all measures on neurons, which is that of the networks with as many neurons as the
    dual has numbers (Caratheodory, on a face of the set of the logits that cost at most so much).

    The maximum is found sector by sector (`largest_response`); U is the loss's gradient at the point and the end of a
    barrier method (`improved_dual`), each scaled down until it is feasible. The rounding of the sum is bounded and subtracted.
    (The dual: Pilanci and Ergen 2020, number unchecked; its sectors and this derivation are our own.)
    """
    return rounded_two_layer_bound(problem, params)[0]


def rounded_two_layer_bound(problem: DeepNonlinear, params: ChainParams) -> tuple[Scalar, Scalar]:
    """`two_layer_bound`, and the rounding error that was subtracted from it; raises NoCertificate."""
    reason = missing_two_layer_bound(problem)
    hidden = problem.activations[-1]
    if reason is not None or problem.inputs is None or not isinstance(hidden, str):
        raise NoCertificate(reason)
    loss, targets, inputs = problem.loss, jnp.asarray(problem.targets), jnp.asarray(problem.inputs)
    decay = jnp.asarray(problem.weight_decay)
    radius = jnp.sqrt(decay[0]) * jnp.sqrt(decay[1])
    plain = loss.gradient(problem.logits(params), targets)
    duals: list[Array] = [jnp.where(jnp.all(jnp.isfinite(plain)), plain, 0.0)]
    if improves(loss, (problem.classes - loss.shift_invariant) * targets.shape[1]):
        duals.append(improved_dual(loss, targets, inputs, hidden, radius))
    # Each direction at several feasible scales; 0 is always feasible.
    values: list[jax.Array] = []
    errors: list[jax.Array] = []
    for dual in duals:
        inside = loss.into_domain(dual, targets)
        dual = dual if inside is None else inside
        largest = _largest_multiple(dual, inputs, hidden, radius)
        for shrink in SHRINKS:
            value, error = _dual_value(problem, largest * shrink * dual)
            values.append(jnp.asarray(value))
            errors.append(jnp.asarray(error))
    value, error = jnp.stack(values), jnp.stack(errors)
    best = jnp.argmax(value)
    return value[best], error[best]


def two_layer_numbers(problem: DeepNonlinear) -> int:
    """About how many numbers the bound at one point works on."""
    if missing_two_layer_bound(problem) is not None:
        return 0
    rows, columns = problem.targets.shape
    free = (rows - problem.loss.shift_invariant) * columns
    return barrier_numbers(rows, columns) if improves(problem.loss, free) else 8 * rows * columns**2


def _largest_multiple(
    dual: Float[Array, "K N"], inputs: Float[Array, "d N"], activation: str, radius: Scalar
) -> Scalar:
    r"""A factor of at most 1 that makes a dual point feasible: its largest response is then at most $\lambda$."""
    response = largest_response(dual / dual.shape[1], inputs, activation)
    factor = jnp.where(response > 0, radius / jnp.where(response > 0, response, 1.0), 1.0) * (1.0 - 16 * EPS)
    return jnp.where(response <= radius, 1.0, jnp.where(jnp.isfinite(factor), factor, 0.0))


def _dual_value(problem: DeepNonlinear, dual: Float[Array, "K N"]) -> tuple[Scalar, Scalar]:
    r"""$-\frac1N\sum_i\ell^*(u_i,y_i)$ less the bound on its rounding, and that bound; -inf where it is not a number."""
    targets = jnp.asarray(problem.targets)
    conjugate, terms = problem.loss.conjugate(dual, targets), problem.loss.conjugate_terms(dual, targets)
    # The sums are over the classes and over the samples, whose errors are of either sign.
    rounding = 8 * (problem.classes + targets.shape[1] ** 0.5) * EPS * jnp.mean(terms)
    total = -jnp.mean(conjugate) - rounding
    known = ~jnp.isnan(total) & jnp.isfinite(rounding)
    return jnp.where(known, total, -jnp.inf), jnp.where(known, rounding, 0.0)


__all__ = [
    "missing_two_layer_bound",
    "rounded_two_layer_bound",
    "two_layer_bound",
    "two_layer_caveat",
    "two_layer_numbers",
]
