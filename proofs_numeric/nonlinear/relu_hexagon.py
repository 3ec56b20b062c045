r"""Two layers, six classes, decays near the onset: a hexagon lies below neural collapse.

Also with two layers and one ReLU neural collapse is not optimal at every decay. Close to the decays at which it costs as
much as zero, six classes do better as the edges of a hexagon: features of rank two, on a circle, from which the ReLU makes
six, each neuron serving two neighbouring classes. The network cannot put out six classes exactly, as neural collapse can,
and so it wins only where decays keep every network from doing that. There it moves the decay beyond which all is zero, too.

Problem:
    $\min\frac1{2N}|W_2\sigma(W_1H)-Y|_F^2+\frac{\lambda_1}2|W_1|_F^2+\frac{\lambda_2}2|W_2|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (own; against the claim of Tirer and Bruna 2022, number unchecked, without their assumption):
    For $f=\frac1{2N}|W_2\sigma(W_1H)-Y|_F^2+\frac{\lambda_1}2|W_1|_F^2+\frac{\lambda_2}2|W_2|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b=2K\sqrt{N\lambda_1\lambda_2\lambda_H}$ and $K\ge6$. Neural collapse costs
    $\frac12g(x)$, $g(x)=\frac1{x^2+1}+bx$, at the largest stationary x; $f_0$ is this or $\frac12$, which zero costs,
    whichever is less. A network in which $h=\lfloor\frac K6\rfloor$ times six classes have
    $W_1H=r\,C$, with the circulant C of $(1,1,0,-1,-1,0)$, costs $\frac{6h}Kf_6+(1-\frac{6h}K)f_0$ with
    $f_6=\min_u\frac1{12}\big(1+\frac1{1+4u}+\frac2{1+3u}+\frac2{1+u}\big)+b\sqrt{\frac u3}$. For $0.43996\le b\le0.51981$
    this is less than $f_0$: no minimiser is neural collapse, nor zero although neural collapse costs more than zero for
    $b>\frac12$.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - L = 2 and K >= 6
    - balanced classes, K >= 2
    - d >= K
    - all decays > 0
    - no bias
    - 0.43996 <= b <= 0.51981
Notation:
    Tirer and Bruna: lambdas and fit 1/(2N)|.|^2 as here.
Why:
    C is antiperiodic, so that of its six frequencies only the odd ones are there, and of these the third is zero: its rank
    is two and its nuclear norm $4\sqrt3$. The ReLU leaves the circulant of $(1,1,0,0,0,0)$ with the singular values 2,
    twice $\sqrt3$, twice 1 and 0. Given features behind the ReLU with singular values s the best $W_2$ leaves
    $\frac1{2K}\frac1{1+s^2/(K\lambda_2)}$ of the fit and its own decay for each; with $u=r^2/(K\lambda_2)$ that is $f_6$.
    Networks side by side add up at the same b. At $u=0.46$ the hexagon leaves 0.297 of the fit's $\frac12$ and pays
    $0.392b$, which is less than what it saves for b up to 0.519, where neural collapse stops at $\frac12$.
Checked:
    The network is built from C, at decays and sizes drawn, its lowest space turned at random. The objective of the chain
    there must be the predicted value, and that of neural collapse its own, to rounding; the network must not cost more than
    neural collapse or zero. Evaluating one network is the whole proof at its decays; nothing is said of what is optimal.
Refuted by:
    Another value of either, or a network that lies above neural collapse or zero. The same check must refute one feature
    less, the whole circulant behind the ReLU, values 1e-6 off, neural collapse as the lower one, nine tenths of its value,
    and decays on either side of the stated range.
Example:
    Six classes at b = 0.5, where neural collapse costs as much as zero: the network by the formula and by a forward pass.

    >>> lam = (0.25 / 6 / 6**0.5) ** (2 / 3)
    >>> problem = chain((6, 6, 6), (1,) * 6, (lam,) * 3)
    >>> round(float(strength_of(problem)), 12), round(float(predict(problem).network), 6)
    (0.5, 0.492591)
    >>> with jax.enable_x64(True):
    ...     point = hexagons(problem, jax.tree.map(lambda x: jnp.asarray(x[0]), nct.starts(problem, 1)))
    ...     round(float(problem.objective(point)), 6)
    0.492591
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import Values, at_best, collapse_of, objective_claim
from proofs_numeric.nonlinear.relu_chains import RELU_CHAIN, chain
from proofs_numeric.pool import pick

ID = "relu-hexagon"
LOWEST, HIGHEST = 0.43996, 0.51981
# A shape is (K, d, n).
SIX = ((6, 6, 1), (6, 7, 3))
MORE = ((7, 7, 1), (8, 9, 2), (12, 12, 1), (13, 13, 2))
ROW = np.array([1.0, 1.0, 0.0, -1.0, -1.0, 0.0])
CIRCULANT = np.stack([np.roll(ROW, k) for k in range(6)])


def strength_of(problem):
    """Return b."""
    return 2 * problem.classes * jnp.sqrt(sum(problem.counts) * jnp.prod(jnp.asarray(problem.weight_decay)))


def build_instance(rng, classes, dim, samples, b):
    """Build the balanced chain of two layers with a strength b, and unequal decays."""
    common = (b / (2 * classes)) ** 2 / (samples * classes)
    drawn = rng.uniform(-1.0, 1.0, size=3)
    decay = tuple((common ** (1 / 3) * np.exp(drawn - drawn.mean())).tolist())
    problem = chain((dim, dim, classes), (samples,) * classes, decay)
    return nct.Instance(problem, {"K": classes, "L": 2, "n": samples, "d": dim, "b": float(b)})


def draw_instances(key):
    """Draw shapes of six and of more classes: close to both ends of the range, and on either side of 1/2."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in (*pick(rng, SIX), *pick(rng, MORE, 2)):
        for b in (LOWEST + 1e-5, rng.uniform(0.45, 0.49), rng.uniform(0.501, 0.515), HIGHEST - 1e-5):
            drawn.append(build_instance(rng, *shape, b))
    return drawn


def outside(key):
    """Draw chains below and above the range, where the network costs more than neural collapse or zero."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 6, 6, 1, b) for b in (LOWEST - 2e-5, HIGHEST + 2e-5)]


def saved(u):
    r"""Return $\frac1{12}(1+\frac1{1+4u}+\frac2{1+3u}+\frac2{1+u})$."""
    return (1 + 1 / (1 + 4 * u) + 2 / (1 + 3 * u) + 2 / (1 + u)) / 12


def best_size(b, fit=saved):
    """Return the u that is best, by bisection on the derivative."""
    slope = jax.grad(lambda log_u: fit(jnp.exp(log_u)) + b * jnp.sqrt(jnp.exp(log_u) / 3))

    def halved(_, ends):
        middle = 0.5 * (ends[0] + ends[1])
        falls = slope(middle) < 0
        return jnp.where(falls, middle, ends[0]), jnp.where(falls, ends[1], middle)

    low, high = jax.lax.fori_loop(0, 60, halved, (jnp.log(jnp.asarray(0.25)), jnp.log(jnp.asarray(4.0))))
    return jnp.exp(0.5 * (low + high))


def predict_with(fit=saved, factor=1.0):
    """State the values; `fit` replaces what is left of the fit."""

    def predict(problem):
        b, classes = strength_of(problem), problem.classes
        u = best_size(b, fit)
        hexagon = fit(u) + b * jnp.sqrt(u / 3)
        x = nct.closed_form.largest_root(b, 2)
        collapse = 0.5 * jnp.where(x > 0, nct.closed_form.relative_cost(x, b, 2), 1.0)
        share = 6 * (classes // 6) / classes
        network = share * hexagon + (1 - share) * jnp.minimum(collapse, 0.5)
        lower = jnp.minimum(collapse, 0.5)
        return Values(factor * network, factor * collapse, lower, jnp.asarray(problem.targets))

    return predict


predict = predict_with()


def hexagons(problem, params):
    """Return the network of hexagons, with neural collapse or nothing for classes left over; its lowest space is turned."""
    b, classes = strength_of(problem), problem.classes
    first, second, lowest = (problem.weight_decay[i] for i in range(3))
    samples, number, rest = problem.counts[0], classes // 6, classes % 6
    r = jnp.sqrt(best_size(b) * classes * second)
    x = nct.closed_form.largest_root(b, 2)
    # What is left over has features behind the ReLU of x^2 K lambda_2, or none where zero costs less.
    one = jnp.where(nct.closed_form.relative_cost(x, b, 2) < 1, x * jnp.sqrt(classes * second), 0.0)
    before = jax.scipy.linalg.block_diag(*[r * CIRCULANT] * number, *([one * jnp.eye(rest)] if rest else []))
    left, values, right = jnp.linalg.svd(before)
    # W_1 and the H of class means, weighted by the root of n, share the nuclear norm out evenly.
    balance = (samples * lowest / first) ** 0.25
    weight, features = balance * left * jnp.sqrt(values)[None, :], jnp.sqrt(values)[:, None] * right / balance
    behind = jnp.maximum(before, 0.0)
    last = jnp.linalg.solve(behind @ behind.T + classes * second * jnp.eye(classes), behind).T
    labels = np.repeat(np.arange(classes), problem.counts)
    dim = problem.widths[0]
    squares = params.features @ params.features.T
    turn = jnp.linalg.qr(jnp.eye(dim) + squares)[0]
    place = (slice(0, classes), slice(0, classes))
    return nct.problems.ChainParams(
        (
            jnp.zeros((problem.widths[1], dim)).at[place].set(weight) @ turn.T,
            jnp.zeros((classes, problem.widths[1])).at[place].set(last),
        ),
        turn @ jnp.zeros((dim, len(labels))).at[:classes].set(features[:, labels]),
        None,
    )


def within(instance):
    """Tell whether b lies in the stated range."""
    return LOWEST <= float(strength_of(instance.problem)) <= HIGHEST


def without_a_feature(u):
    """Return what is left of the fit without the mean."""
    return saved(u) + 1 / 12 - 1 / (12 * (1 + 4 * u))


def whole_circulant(u):
    """Return what is left of the fit with the features before the ReLU: two singular values of 2 root 3."""
    return (4 + 2 / (1 + 12 * u)) / 12


def changed(**fields):
    """State some fields as functions of the true values."""
    return lambda problem: predict(problem)._replace(**{k: rule(predict(problem)) for k, rule in fields.items()})


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            nct.Hypothesis("L = 2 and K >= 6", lambda i: i.problem.depth == 2 and i.problem.classes >= 6),
            BALANCED,
            DIM_CLASSES,
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("0.43996 <= b <= 0.51981", within),
        ),
        sources=(TIRER_2022.remark("Their theorem for the ReLU has an assumption, which this network does not meet."),),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            objective_claim(nct.Equality, "value", r"f(\mathrm{hexagons})", hexagons, lambda v: v.network),
            objective_claim(
                nct.Equality, "collapse", r"f(\mathrm{DNC})=\frac12g(x)", at_best(collapse_of), lambda v: v.collapse
            ),
            objective_claim(
                nct.UpperBound,
                "not global",
                r"f(\mathrm{hexagons})\le f_0",
                hexagons,
                lambda v: v.lower,
                resolution=0.01,
                because="how much less it costs is told by the two values",
            ),
        ),
        controls=(
            nct.Control("no mean", "one feature less", predict_with(without_a_feature), ("value",)),
            nct.Control("no ReLU", "the whole circulant behind the ReLU", predict_with(whole_circulant), ("value",)),
            nct.Control(
                "1e-6 off",
                "both values larger by a relative 1e-6",
                predict_with(factor=1 + 1e-6),
                ("value", "collapse"),
            ),
            nct.Control(
                "collapse is best",
                "the network costs as much as neural collapse",
                changed(network=lambda v: v.lower),
                ("value",),
            ),
            nct.Control(
                "nine tenths",
                "the network costs less than nine tenths of neural collapse",
                changed(lower=lambda v: 0.9 * v.lower),
                ("not global",),
            ),
            nct.Control("any decay", "so it is just outside of the range", claims=("not global",), outside=outside),
        ),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
