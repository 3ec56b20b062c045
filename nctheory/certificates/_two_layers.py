"""Networks of two layers on given inputs, with a positively homogeneous activation between them: a convex program's dual."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from nctheory.certificates._arrangement import MOST_FACES, most_faces
from nctheory.certificates._barrier import LARGEST, barrier_numbers, improved_dual, improves
from nctheory.certificates._convexity import doubtful_convexity
from nctheory.certificates._duality import SHRINKS, bias_price, charged, into_domain, recentres
from nctheory.certificates._exchange import KEPT, exchanged_dual, exchanges
from nctheory.certificates._faces import Arrangement, arrangement, faces_kept, response_by_faces
from nctheory.certificates._sectors import largest_response
from nctheory.engine import EPS, Array, Scalar, is_traced, not_positive
from nctheory.problems import HOMOGENEOUS, ChainParams, DeepNonlinear, NoCertificate

PLANE = 2
"""Inputs of so many dimensions have sectors, of more the faces of their arrangement (derived)."""


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
    # Within a compiled program the inputs are not known; there too many faces leave the bound at the loss's infimum.
    if problem.widths[0] > PLANE and not is_traced(problem.inputs):
        most = most_faces(np.asarray(problem.inputs, np.float64))
        if most > MOST_FACES:
            return (
                f"{problem.targets.shape[1]} inputs of {problem.widths[0]} dimensions: the neuron that responds most to a "
                f"dual point would have to be sought in {most} cells and faces of cells or more; it is in up to {MOST_FACES}"
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
    free_bias = problem.bias_decay is not None and not_positive(problem.bias_decay)
    if free_bias and not recentres(problem.loss):
        return f"the loss {problem.loss.name} defines no recentre, without which a free bias leaves a trivial bound"
    columns = problem.targets.shape[1]
    rows = problem.classes - problem.loss.shift_invariant
    improved, largest = (improves, LARGEST) if problem.widths[0] <= PLANE else (exchanges, KEPT)
    if not improved(problem.loss, rows * columns):
        return (
            f"the dual point is the gradient at the point, and not improved (it is for squared error and cross-entropy, of at "
            f"most {largest} numbers): the gap is of first order in the distance from a minimiser"
        )
    # What a free bias adds to the outputs costs nothing, so that neurons have to make them up to that.
    numbers = rows * (columns - free_bias)
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
    vectors. So with $z_i=\sum_ja_j\sigma(\langle w_j,x_i\rangle)+b$ and any U in the domain of the conjugate, $g_i=u_i/N$,

    $$\frac1N\sum_i\ell(z_i,y_i)\ge-\frac1N\sum_i\ell^*(u_i,y_i)+\sum_j\Big\langle a_j,\sum_ig_i\sigma(\langle
       w_j,x_i\rangle)\Big\rangle+\Big\langle b,\sum_ig_i\Big\rangle.$$

    The sum over j is at least $-\max_{|w|\le1}|\sum_ig_i\sigma(\langle w,x_i\rangle)|_2\sum_j|a_j||w_j|$. Where that maximum
    is at most $\lambda$, the minimum is at least $-\frac1N\sum_i\ell^*(u_i,y_i)-\frac1{2\lambda_b}|\sum_ig_i|^2$, for every
    width; without a bias the last term is missing, and with one that is not decayed $\sum_ig_i=0$ takes its place. (A bias of
    the neurons that is decayed as their weights are is a coordinate of 1 of the inputs.) The best such bound is the minimum of
    the convex program over all measures on neurons, which is that of the networks with as many neurons as the dual has
    numbers (Caratheodory, on a face of the set of the logits that cost at most so much).

    The maximum is found sector by sector of the plane (`largest_response`), and in more dimensions face by face of the
    arrangement of the inputs (`response_by_faces`), which is exact for any number of outputs. U is the loss's gradient at the
    point and the end of a barrier method (`improved_dual`) or of an exchange (`exchanged_dual`), each scaled down until it is
    feasible, and where there is a bias also moved to $\sum_ig_i=0$. The rounding of the sum is bounded and subtracted.
    (The dual: Pilanci and Ergen 2020, number unchecked; its sectors, its faces and this derivation are our own.)
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
    rows, columns = targets.shape
    faces = None
    if len(inputs) > PLANE:
        faces = arrangement(inputs, hidden)
        duals.append(exchanged_dual(problem, faces, radius))
    elif improves(loss, (rows - loss.shift_invariant) * columns):
        duals.append(improved_dual(loss, targets, inputs, hidden, radius, problem.bias_decay))
    points = _with_centred(problem, [into_domain(problem, dual) for dual in duals])
    centred = jnp.arange(len(points)) >= len(duals)

    def valued(dual: Float[Array, "K N"], moved: Bool[Array, ""], shrink: Scalar) -> tuple[Scalar, Scalar]:
        return _dual_value(problem, shrink * _largest_multiple(dual, inputs, hidden, radius, faces) * dual, moved)

    # Each direction at several feasible scales; 0 is always feasible.
    scaled = jax.vmap(jax.vmap(valued, (None, None, 0)), (0, 0, None))(points, centred, jnp.asarray(SHRINKS))
    value, error = (jnp.ravel(x) for x in scaled)
    best = jnp.argmax(value)
    return value[best], error[best]


def two_layer_numbers(problem: DeepNonlinear) -> int:
    """About how many numbers the bound at one point works on."""
    if missing_two_layer_bound(problem) is not None:
        return 0
    rows, columns = problem.targets.shape
    if problem.widths[0] > PLANE:
        count, rank = faces_kept(problem.widths[0], columns)
        return 4 * count * rank * (rows + columns)
    free = (rows - problem.loss.shift_invariant) * columns
    return barrier_numbers(rows, columns) if improves(problem.loss, free) else 8 * rows * columns**2


def _with_centred(problem: DeepNonlinear, duals: list[Array]) -> Float[Array, "C K N"]:
    r"""The dual points, and with a bias each of them moved to where $\sum_ig_i=0$ too."""
    if problem.bias_decay is None or not recentres(problem.loss):
        return jnp.stack(duals)
    targets = jnp.asarray(problem.targets)
    weights = jnp.full(targets.shape[1], 1.0 / targets.shape[1])
    return jnp.stack([*duals, *(into_domain(problem, problem.loss.recentre(dual, targets, weights)) for dual in duals)])


def _largest_multiple(
    dual: Float[Array, "K N"], inputs: Float[Array, "d N"], activation: str, radius: Scalar, faces: Arrangement | None
) -> Scalar:
    r"""A factor of at most 1 that makes a dual point feasible: its largest response is then at most $\lambda$."""
    mean = dual / dual.shape[1]
    response = largest_response(mean, inputs, activation) if faces is None else response_by_faces(mean, inputs, faces)
    factor = jnp.where(response > 0, radius / jnp.where(response > 0, response, 1.0), 1.0) * (1.0 - 16 * EPS)
    return jnp.where(response <= radius, 1.0, jnp.where(jnp.isfinite(factor), factor, 0.0))


def _dual_value(problem: DeepNonlinear, dual: Float[Array, "K N"], centred: Bool[Array, ""]) -> tuple[Scalar, Scalar]:
    r"""$-\frac1N\sum_i\ell^*(u_i,y_i)$ less what the bias costs and the bound on the rounding, and that bound; -inf where it
    is not a number."""
    targets = jnp.asarray(problem.targets)
    conjugate, terms = problem.loss.conjugate(dual, targets), problem.loss.conjugate_terms(dual, targets)
    samples, cost = targets.shape[1], jnp.asarray(0.0)
    if problem.bias_decay is not None:
        price = bias_price(jnp.asarray(problem.bias_decay))
        cost = charged(dual / samples, targets / samples, jnp.ones(samples), price, centred)
    # The sums are over the classes and over the samples, whose errors are of either sign.
    rounding = 8 * (problem.classes + samples**0.5) * EPS * (jnp.mean(terms) + cost)
    total = -jnp.mean(conjugate) - cost - rounding
    known = ~jnp.isnan(total) & jnp.isfinite(rounding)
    return jnp.where(known, total, -jnp.inf), jnp.where(known, rounding, 0.0)


__all__ = [
    "missing_two_layer_bound",
    "rounded_two_layer_bound",
    "two_layer_bound",
    "two_layer_caveat",
    "two_layer_numbers",
]
