r"""The posterior of a deep linear network at finite width.

A deep linear network with random weights that must fit its examples exactly predicts, on average, what the least interpolant
of its kernel predicts, however wide and deep it is. Width and depth show in how certain it is: the whole kernel is multiplied
by one random scale, whose law the examples change. Larger targets make it larger.

Problem:
    $f(x)=w^\top W_L\cdots W_1x$ with L hidden layers of widths $N_l$ and independent normal weights, of variance
    $\sigma^2/N_{l-1}$ in $W_l$ ($N_0=d$) and $1/N_L$ in w; the posterior given $f(x_i)=y_i$ for P examples, without noise.
Theorem (Hanin and Zlokapa 2023, number unchecked; in our own form):
    Let $K_0=\sigma^{2L}\langle x,x'\rangle/d$ and $r_0=y^\top K_0^{-1}y/P$. Given the examples, f(x) is a mixture of normal
    variables of one mean, $k^\top K_0^{-1}y$, and variances $u\,(K_0(x,x)-k^\top K_0^{-1}k)$, where $u=\prod_ls_l$ with
    independent $s_l\sim\chi^2_{N_l-P+1}/N_l$ reweighted by $\prod_ls_l^{-1/2}e^{-Pr_0/(2u)}$. The likelihood of the
    examples is $E\,(2\pi u)^{-P/2}|K_0|^{-1/2}e^{-Pr_0/(2u)}$ with $s_l\sim\chi^2_{N_l}/N_l$.
Hypotheses:
    - at least one hidden layer, of width 2 at least
    - inputs, with that of the prediction, linearly independent
    - some target is not zero
Notation:
    Where $N_l<P$ there is no $\chi^2_{N_l-P+1}$; the density is $\prod_ls_l^{(N_l-P)/2-1}e^{-N_ls_l/2}e^{-Pr_0/(2u)}$ at any
    width.
Why:
    Given $W_2,\dots,W_L,w$, f is linear in the normal $W_1$: a Gaussian process with the kernel $uK_0$,
    $u=\sigma^{2-2L}|W_2^\top\cdots W_L^\top w|^2$. Each layer multiplies a squared norm by an independent
    $\chi^2_{N_l}\sigma^2/N_l$. By Bayes' rule the law of u is reweighted by the likelihood $u^{-P/2}e^{-Pr_0/(2u)}$.
Checked:
    Networks are drawn from the prior, the weights of one layer are integrated out exactly through the Jacobian of the outputs
    in them, and the others are weighted by the likelihood of the examples. So the likelihood, the distribution function of
    f(x) at three points and its variance are estimated: with the first layer integrated out, and for one example also with the
    last, where every network has a mean and a variance of its own. What is averaged is bounded; every band is the empirical
    Bernstein inequality's and fails with probability 1e-12 at most. The prediction is a quadrature.
Refuted by:
    One record outside its band. The same check must refute $N_l-P$ for $N_l-P+1$, a reweighting without the root, a law of one
    layer alone, the Gaussian process of infinite width, the prior's law of u, and a mean of zero.
Example:
    The mean scale of two hidden layers by quadrature and from importance sampling of scales, and that of one layer in Bessel
    functions.

    >>> from proofs_numeric.statistics.scale_mixture import bessel_mean
    >>> rng = np.random.default_rng(0)
    >>> u = rng.chisquare(3, 10**6) / 3 * rng.chisquare(5, 10**6) / 5
    >>> weight = u**-1.0 * np.exp(-0.7 / u)
    >>> with jax.enable_x64(True):
    ...     means = [float(scale_law(jnp.array(widths), 2, 0.7).mean()) for widths in ([3.0, 5.0], [4.0])]
    >>> round(means[0], 4), round(float(np.sum(weight * u) / np.sum(weight)), 2)
    (1.025, 1.03)
    >>> round(means[1], 6) == round(bessel_mean(4, 2, 0.7), 6)
    True
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import HANIN_ZLOKAPA_2023, MAURER_PONTIL_2009
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import bernstein, in_terms, sampled
from proofs_numeric.statistics.linear_posterior import CUTS, MOVES, LinearPosterior
from proofs_numeric.statistics.scale_mixture import scale_law

ID = "hanin-zlokapa"
SHAPES = (((3,), 1), ((3, 2), 1), ((3, 4), 3), ((4, 5, 3), 4))
"""Hidden widths and numbers of examples; in the last two some layers are no wider than the examples are many."""
RECORD = {"resolution": 0.15, "of": "65,536 networks"}
"""What every claim may miss, relatively, and what it is sampled from."""


def draw_instances(key):
    """Draw inputs, targets of all sizes and prior variances for networks of one to three hidden layers."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for widths, examples in SHAPES:
        for r0 in (log_uniform(rng, 0.3, 0.8), log_uniform(rng, 0.8, 1.5), log_uniform(rng, 1.5, 3.0)):
            variance, inputs = log_uniform(rng, 0.5, 2.0), rng.normal(size=(examples + 1, examples + 2))
            problem = LinearPosterior(
                blocks=256,
                block=256,
                widths=widths,
                inputs=jnp.asarray(inputs),
                targets=jnp.asarray(rng.normal(size=examples)),
                variance=jnp.asarray(variance),
                cuts=jnp.zeros(CUTS),
            )
            # Targets of the size asked for, and cuts about the mean that those give.
            size = problem.regression()[0]
            problem = eqx.tree_at(lambda p: p.targets, problem, problem.targets * jnp.sqrt(r0 / size))
            _, mean, spread = problem.regression()
            problem = eqx.tree_at(lambda p: p.cuts, problem, mean + jnp.sqrt(spread) * jnp.asarray(MOVES))
            shown = {"widths": "-".join(map(str, widths)), "P": examples, "r0": r0, "variance": variance}
            drawn.append(nct.Instance(problem, shown))
    return drawn


class Prediction(NamedTuple):
    """The likelihood over its largest value, the distribution function at the cuts, and the mean scale."""

    evidence: jax.Array
    below: jax.Array
    scale: jax.Array


def predict_with(shift=0.0, layers=None, centre=1.0):
    """Predict from the law of u, with a wrong number of degrees of freedom, of some layers alone, or about a wrong mean."""

    def predict(problem):
        r0, mean, spread = problem.regression()
        law = scale_law(jnp.asarray(problem.widths[:layers], jnp.float64), problem.examples, r0, shift)
        return told(problem, law.evidence, law.scales, law.weights, centre * mean, spread)

    return predict


def told(problem, evidence, scales, weights, mean, spread):
    """Return the prediction from a law of u."""
    below = jax.scipy.special.ndtr((problem.cuts[:, None] - mean) / jnp.sqrt(spread * scales)[None, :])
    return Prediction(jnp.exp(evidence), jnp.sum(below * weights[None, :], axis=1), jnp.sum(weights * scales))


def infinite_width(problem):
    """Predict by the Gaussian process: u = 1."""
    r0, mean, spread = problem.regression()
    evidence = 0.5 * problem.examples * (1.0 - r0 + jnp.log(r0))
    return told(problem, evidence, jnp.ones(1), jnp.ones(1), mean, spread)


def prior_scales(problem):
    """Predict with the law of u that the examples have not changed: that of a posterior without examples."""
    r0, mean, spread = problem.regression()
    law = scale_law(jnp.asarray(problem.widths, jnp.float64), 1e-9, r0)
    return told(problem, jnp.zeros(()), law.scales, law.weights, mean, spread)


def evidence(problem, params):
    """Return the mean weight of networks with the first layer integrated out."""
    return params.mean[0]


def evidence_terms(problem, params):
    """Return its band."""
    return in_terms(params, bernstein(problem, params.variance[0]))


def below(start):
    """Observe the weighted mean of the distribution functions at the cuts, and its band, from a place of the record on.

    With |A' - A| <= a and |w' - w| <= b for the two means, the ratio is off by at most (a + |A/w| b)/w', and |A/w| <= 1/2.
    """
    part = slice(start + 1, start + 1 + CUTS)

    def observed(problem, params):
        return 0.5 + params.mean[part] / params.mean[start]

    def terms(problem, params):
        own, whole = bernstein(problem, params.variance[part]), bernstein(problem, params.variance[start])
        return in_terms(params, (own + 0.5 * whole) / params.mean[start])

    return observed, terms


def mean_scale(problem, params):
    """Return the variance of the prediction over that at u = 1."""
    return problem.regression()[0] * params.mean[CUTS + 1] / params.mean[0]


def scale_terms(problem, params):
    r"""Return its band: $w\,u/r_0\le e(\frac P{P-2})^{1-P/2}$, and the true ratio is at most (R + a/w')/(1 - b/w')."""
    p, w = problem.examples, params.mean[0]
    most_of_one = math.e * (p / max(p - 2, 1)) ** (1 - p / 2)  # of one and two examples nothing is said
    own = bernstein(problem, params.variance[CUTS + 1], most_of_one) / w
    whole, ratio = bernstein(problem, params.variance[0]) / w, params.mean[CUTS + 1] / w
    most = jnp.where(whole < 1.0, (ratio + own) / (1.0 - whole), jnp.inf)
    return in_terms(params, problem.regression()[0] * (own + most * whole))


def deep(instance):
    """Tell whether there are hidden layers beyond the first."""
    return len(instance.problem.widths) > 1


def one_example(instance):
    """Tell whether the last layer is integrated out too."""
    return instance.problem.examples == 1


def several(instance):
    """Tell whether the variance of a prediction is the mean of bounded numbers."""
    return instance.problem.examples >= 3


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: len(i.problem.widths) >= 1 and min(i.problem.widths) >= 2,
            lambda i: np.linalg.matrix_rank(np.asarray(i.problem.inputs)) == i.problem.examples + 1,
            lambda i: bool(np.any(np.asarray(i.problem.targets) != 0)),
        ),
        sources=(
            HANIN_ZLOKAPA_2023.remark("Known by its abstract: any depth, width and data. Form and proof are our own."),
            MAURER_PONTIL_2009,
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=8,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            sampled("evidence", r"p(y)=E\,N(y;0,uK_0)", evidence, evidence_terms, lambda p: p.evidence, **RECORD),
            sampled("first layer", r"P(f(x)\le t\mid y)", *below(0), lambda p: p.below, **RECORD),
            sampled(
                "last layer", r"P(f(x)\le t\mid y)", *below(CUTS + 2), lambda p: p.below, applies=one_example, **RECORD
            ),
            sampled(
                "variance", r"\langle u\rangle", mean_scale, scale_terms, lambda p: p.scale, applies=several, **RECORD
            ),
        ),
        controls=(
            nct.Control("N - P", "N_l-P for N_l-P+1", predict_with(shift=-1.0)),
            nct.Control("without the root", "no factor s_l^{-1/2}", predict_with(shift=1.0)),
            nct.Control(
                "one layer",
                "the first hidden layer alone",
                predict_with(layers=1),
                applies=deep,
            ),
            nct.Control("infinite width", "the Gaussian process of the kernel K_0", infinite_width),
            nct.Control("prior scale", "the law of u before the examples", prior_scales),
            nct.Control("mean zero", "a mean of zero", predict_with(centre=0.0), claims=("first layer", "last layer")),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
