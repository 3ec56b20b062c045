r"""The rank of a linear tail.

Where a network ends in linear layers, the data ask each of them for no more directions than there are classes, whatever the
features are that enter the tail, and one fewer for losses that do not see a constant added to all logits. Weight decay takes
the others away: at a critical point every layer of the tail has at most that rank, and up to the decays all have the same
singular values. Off a critical point the gradient says by how much this fails. Layers behind a ReLU obey no such law.

Problem:
    $f=\frac1N\sum_i\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$ for a network
    $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$ whose last layers are linear, at least two, with anything below them.
Theorem (after Jacot, Sukenik, Wang and Mondelli 2025, number unchecked; our own form, at any point and without constants):
    Let $g_l=\partial f/\partial W_l$ and $c_l=\partial f/\partial b_l$, and $r=K$, or $r=K-1$ if $\ell(z+t1,y)=\ell(z,y)$
    for all t. For every layer of the tail $\sigma_{r+i}(W_l)\le\sigma_i(g_l)/\lambda_l$, so that
    $\mathrm{dist}_F(W_l,\mathrm{rank}\le r)\le|g_l|_F/\lambda_l$. For neighbours in it, with singular values s of
    $W_{l+1}$ and t of $(W_l,b_l)$, $|\lambda_{l+1}s_i^2-\lambda_lt_i^2|\le|W_{l+1}^\top g_{l+1}-g_lW_l^\top-c_lb_l^\top|_2$.
Hypotheses:
    - a network whose last two layers are linear, with a layer of the tail of more than r rows and columns
    - all decays > 0
Notation:
    Jacot et al.: nearly balanced and nearly interpolating networks; here nothing is asked of the point.
Why:
    With $G=\partial\mathrm{fit}/\partial Z_L$ the fit's gradient in $W_l$ is $(W_L\cdots W_{l+1})^\top G$ times what enters
    the layer, and G has K rows, which sum to zero for such losses: its rank is at most r. So $\lambda_lW_l-g_l$ has rank at
    most r, and the first two statements are those of Weyl and of Eckart and Young. In the last one the fit's parts cancel
    (network-balance), $\lambda_{l+1}W_{l+1}^\top W_{l+1}-\lambda_l(W_lW_l^\top+b_lb_l^\top)$ is the matrix on the right, and
    the inequality is Weyl's. All are equalities where a layer has, beside a critical point's, directions that neither the
    data nor the layer above see.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent both sides are computed for all layers of the tail, and
    held against each other to the rounding of singular values and of the gradient. Some starts are arranged so that both
    sides are equal, and one at a critical point with a layer of higher rank behind a ReLU. All this is sampled.
Refuted by:
    One layer at one point with a singular value above its bound by more than rounding. The same check must refute r - 1 for
    r, twice the decay, a decay off by 1e-6, the bounds of critical points at any point, equal singular values for unequal
    decays, and the bound for the layer behind a ReLU.
Example:
    Both sides of the first bound for a layer with two directions that are not seen.

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     network = draw_instances(jax.random.key(0))[0].problem
    ...     left, right, _ = beyond(network, network.init(jax.random.key(0), 1.0), 0)
    ...     bool(jnp.allclose(left, right[: len(left)], atol=1e-7)), [round(float(x), 4) for x in left]
    (True, [0.15, 0.1])
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import JACOT_2025
from proofs_numeric.conserved.vector_field import one, relative, zero
from proofs_numeric.networks.layers import backward_size, singular_values
from proofs_numeric.networks.tail_starts import draw_instances

ID = "tail-rank"


def largest_rank(problem):
    """Return r."""
    return problem.widths[-1] - int(problem.loss.shift_invariant)


def tail(problem):
    """Return the numbers of the layers of the tail, from 0 on: those that no activation follows."""
    return [i for i in range(problem.depth) if set(problem.activations[i:]) == {"identity"}]


def wide(problem, layers):
    """Return those of some layers with more than r rows and columns."""
    return [i for i in layers if min(problem.widths[i], problem.widths[i + 1]) > largest_rank(problem)]


def wide_tail(problem):
    """Return the layers of which the theorem says something."""
    return wide(problem, tail(problem))


def behind_activation(problem):
    """Return the wide layers below the tail."""
    return wide(problem, [i for i in range(problem.depth) if i not in tail(problem)])


def slope_error(problem, params, layer):
    """Bound the terms of the gradient in the weights of a layer."""
    entering = problem.layers(params)[layer]
    shifted = jnp.sqrt(1.0 * entering.shape[1]) if problem.has_bias else 0.0
    return backward_size(problem, params, layer) * (jnp.linalg.norm(entering) + shifted)


def beyond(problem, params, layer, fewer=0, gradient=1.0, decay=1.0):
    """Return the singular values of W_l beyond r, those of g_l over the decay, and the rounding in both."""
    own = decay * problem.weight_decay[layer]
    slope = problem.value_and_grad(params)[1].weights[layer]
    left = singular_values(params.weights[layer])[largest_rank(problem) - fewer :]
    error = jnp.linalg.norm(params.weights[layer]) + slope_error(problem, params, layer) / own
    return left, gradient * singular_values(slope) / own, error


def neighbours(problem, params, layer, gradient=1.0, decays=True):
    """Return the left sides of the last inequality for a layer and the one above, the right side, and the rounding."""
    low, up = params.weights[layer], params.weights[layer + 1]
    slope = problem.value_and_grad(params)[1]
    extended, right = low, up.T @ slope.weights[layer + 1] - slope.weights[layer] @ low.T
    if params.biases is not None:
        extended = jnp.concatenate([low, params.biases[layer][:, None]], axis=1)
        right = right - jnp.outer(slope.biases[layer], params.biases[layer])
    below, above = (problem.weight_decay[layer + i] if decays else problem.weight_decay[layer] for i in range(2))
    squares = [jnp.zeros(len(low)).at[: min(x.shape)].set(singular_values(x)[: len(low)] ** 2) for x in (up, extended)]
    error = jnp.linalg.norm(up) * slope_error(problem, params, layer + 1)
    error += jnp.linalg.norm(extended) * slope_error(problem, params, layer)
    error += above * jnp.sum(up**2) + below * jnp.sum(extended**2)
    return jnp.abs(above * squares[0] - below * squares[1]), gradient * jnp.linalg.norm(right, ord=2), error


def bound(name, statement, parts):
    """State that left sides are below right ones; `parts` yields both and their rounding."""

    def off(problem, params):
        found = [relative(left - right, norm_of(right), error, params) for left, right, error in parts(problem, params)]
        return jnp.concatenate([jnp.zeros(0), *(jnp.ravel(one) for one in found)])

    def rounded(problem, params):
        found = [relative(error, norm_of(right), error, params) for _, right, error in parts(problem, params)]
        return jnp.linalg.norm(jnp.stack([jnp.zeros(()), *found]))

    return nct.UpperBound(name, statement, off, zero, scope="any point", terms=rounded, size=one)


def norm_of(numbers):
    """Return the largest of some numbers."""
    return jnp.max(jnp.atleast_1d(numbers))


def single(layers=wide_tail, **version):
    """State the bound on each singular value, or a wrong version of it."""

    def parts(problem, params):
        for layer in layers(problem):
            left, right, error = beyond(problem, params, layer, **version)
            count = min(len(left), len(right))
            yield left[:count], right[:count], error

    return bound("singular values", r"\sigma_{r+i}(W_l)\le\sigma_i(g_l)/\lambda_l", parts)


def distance(layers=wide_tail, **version):
    """State the bound on the distance, or a wrong version of it."""

    def parts(problem, params):
        for layer in layers(problem):
            left, right, error = beyond(problem, params, layer, **version)
            yield jnp.linalg.norm(left), jnp.linalg.norm(right), error

    return bound("distance", r"\mathrm{dist}_F(W_l,\mathrm{rank}\le r)\le|g_l|_F/\lambda_l", parts)


def spectra(**version):
    """State that neighbours have the same singular values up to the decays and the gradient, or a wrong version of it."""

    def parts(problem, params):
        for layer in tail(problem)[:-1]:
            yield neighbours(problem, params, layer, **version)

    statement = r"|\lambda_{l+1}s_i^2-\lambda_lt_i^2|\le|W_{l+1}^\top g_{l+1}-g_lW_l^\top-c_lb_l^\top|_2"
    return bound("spectra", statement, parts)


def started(*arrangements):
    """Tell the instances whose starts are arranged so."""
    return lambda instance: instance.parameters["starts"] in arrangements


def wrong(name, text, versions, *arrangements):
    """Make a control of some bounds, for instances whose starts are arranged so."""
    return nct.Control(name, text, versions=versions, applies=started(*arrangements))


def both(**version):
    """Return wrong versions of the first two bounds."""
    return single(**version), distance(**version)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: len(tail(i.problem)) >= 2 and bool(wide_tail(i.problem)),
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)),
        ),
        sources=(JACOT_2025.remark("The setting; the bounds at any point are in our own form."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(single(), distance(), spectra()),
        controls=(
            wrong("rank one lower", "r - 1 for r", both(fewer=1), "unseen"),
            wrong("twice the decay", "2 lambda for lambda", both(decay=2.0), "unseen"),
            wrong("decay 1e-6 off", "a decay larger by a relative 1e-6", both(decay=1.0 + 1e-6), "unseen"),
            wrong(
                "gradient left out",
                "the ranks and spectra of critical points at any point",
                (*both(gradient=0.0), spectra(gradient=0.0)),
                "unseen",
                "normal",
            ),
            wrong(
                "equal singular values", "the spectra are equal for unequal decays", (spectra(decays=False),), "unseen"
            ),
            wrong(
                "behind a ReLU", "the bounds for the layer below the tail", both(layers=behind_activation), "neurons"
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
