r"""Deep residual networks approach neural collapse as they grow deeper.

A residual network with normalised features and decayed weights can bring the samples of a class together in many small steps,
each of which costs little. So the best network approaches neural collapse as the number L of blocks grows, at a decay that
does not depend on L, and from any inputs. For linear blocks and orthonormal inputs the distance can be told: a network that
brings the n samples of each class together costs what collapse costs and a multiple of (log L)^2 / L more, and no
network costs less than another multiple of it. The logarithm is there because differences within classes are never quite gone.

Problem:
    $f=\frac1{2N}|VH-Y|_F^2+\frac\lambda2\sum_{l=1}^L|W_l|_F^2+\frac\mu2|V|_F^2$ with $h_i=\rho Tx_i/|Tx_i|$ and
    $T=(I+W_L)\cdots(I+W_1)$: linear residual blocks and a normalisation in the end, K classes of n samples, $N=nK$, one-hot
    labels Y, orthonormal inputs $x_i$.
Theorem (own; after Sukenik, Lampert and Mondelli 2025, number unchecked):
    Let $\phi(\nu)=\frac{\mu nK/2}{n\rho^2(1-\nu)+N\mu}$. The fit and the decay of V come to at least $\phi(\nu)$, $\nu$ the
    mean squared distance of features from their class means over $\rho^2$; with equality for orthogonal class means. So
    $f\ge\phi(0)$, attained in the limit of neural collapse alone. For numbers u and $\nu(\epsilon)$ let
    $F(u,\nu)=\min_{0\le w\le1/2,\,a\ge1}\phi(\nu(\epsilon))+\frac{\lambda L}2(u(a-1)^2+(N-K)w^2)$,
    $\epsilon=(\frac{1-w}a)^L$. Where $F_L=F(K,\frac{(n-1)\epsilon^2}{1+(n-1)\epsilon^2})\le\phi(0)+\frac\lambda8$, it is the
    value of a network with equal blocks that stretch class means and shrink differences within classes, and every network
    has $f\ge\min(F(1,\frac{n-1}n\epsilon^2),\phi(0)+\frac\lambda8)$. Both bounds are $\phi(0)$ and, for large L, between
    $\frac\lambda8\frac{N-K}{N-K+1}\frac{(\log L)^2}L$ and $\frac\lambda8\frac{K(N-K)}N\frac{(\log L)^2}L$, to leading order:
    so is $\min f-\phi(0)$, and $\nu$ of any minimiser is of no larger order. That $\min f=F_L$, and
    $\nu=\frac{(n-1)\epsilon^2}{1+(n-1)\epsilon^2}$ there, is what is seen and not proved.
Hypotheses:
    - linear residual blocks, features of one length, squared error
    - orthonormal inputs, balanced classes of n >= 2 samples
    - all decays > 0
    - F_L <= phi(0) + lambda/8
Notation:
    Sukenik et al. have blocks with ReLUs or attention, LayerNorm, and inputs that are any; theirs is that global optima of
    ResNets with one linear layer a block, at a decay that does not depend on depth, and of transformers, are approximately
    collapsed. The model here has neither ReLUs nor attention; orders, constants and bounds are our own.
Why:
    The best V leaves $\frac\mu2\sum_ky_k^\top(H^\top H+N\mu I)^{-1}y_k$, y_k the rows of Y, and
    $y^\top A^{-1}y\ge|y|^4/y^\top Ay$ with $y_k^\top H^\top Hy_k=n^2|\bar h_k|^2$; the mean of $|\bar h_k|^2$ is
    $\rho^2(1-\nu)$. Seen on the spaces that inputs span, block after block, the branches cost at least
    $\sum_i(s_{li}-1)^2$ in the singular values s of the blocks (Mirsky). If one is below $\frac12$, that alone is
    $\frac14$. Otherwise $(e^x-1)^2$ is convex at all $\log s$; the logarithms of the singular values $\sigma$ of TX are
    majorised by the sums of the $\log s$ (Horn), so that the branches cost at least $L\sum_i(\sigma_i^{1/L}-1)^2$. With
    $t_i=Tx_i$ the features $t_i/|t_i|$ have the deviations of a matrix of rank $N-K$ from that of their means, and so
    $N\nu\ge\sum_{i>K}\sigma_i^2/\max|t_i|^2\ge\sum_{i>K}(\sigma_i/\sigma_1)^2$. By convexity the N-K smallest are best
    equal, and $\sigma_2,\dots,\sigma_K$ best 1: that is $F(1,\cdot)$. With $\tau=-\log\epsilon$ the branches of
    $F(u,\cdot)$ cost about $\frac\lambda{2L}\frac{u(N-K)}{u+N-K}\tau^2$, and $\phi$ about $c\,e^{-2\tau}$ more: the best
    $\tau$ is $\frac12\log L$ to leading order.
Checked:
    The symmetric network is built and evaluated by a forward pass, which proves its value. Networks are brought down from
    random starts: no end, and no start, may lie below the lower bound, or have a fit below $\phi$ at its variability; both
    are proved, and the check is one of the formulas. No certificate closes the rest of the gap: the best end stands for the
    minimum (sampled), and an end below $F_L$ would refute that part. The variability is compared at the best ends.
Refuted by:
    A symmetric network of another value, a point below one of the bounds, an end below $F_L$, or a best end that is not as
    collapsed as told. The same check must refute exact collapse, means that are not stretched, $\phi(0)+\frac\lambda8$ as a
    bound, twice the variability in the fit, and all numbers 1e-6 off.
Example:
    Two classes of two samples: what is above collapse, over $\lambda(\log L)^2/L$, which tends to 1/8.

    >>> rng = np.random.default_rng(0)
    >>> for depth in (16, 256, 4096):
    ...     problem = drawn_network(rng, 2, 2, 0, depth, (0.01, 0.01), 1.0)
    ...     least_known = symmetric(problem).value - float(fit(problem, 0.0))
    ...     print(depth, round(least_known / (0.01 * np.log(depth) ** 2 / depth), 3))
    16 0.245
    256 0.154
    4096 0.133
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import SUKENIK_2025
from proofs_numeric.nonlinear.residual_networks import (
    ResidualNetwork,
    bound,
    drawn_network,
    fit,
    least,
    network,
    symmetric,
    symmetric_spread,
    variability,
)
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import ROUNDED

ID = "nc-resnet-transformer"
# A shape is (K, n, d - N, L).
SMALL = ((2, 2, 1, 12), (2, 2, 0, 20))
LARGE = ((2, 3, 0, 16), (3, 2, 1, 16))


class Values(NamedTuple):
    """What is predicted."""

    network: nct.engine.Scalar
    """F_L."""
    bound: nct.engine.Scalar
    variability: nct.engine.Scalar
    zero: float = 0.0


def excess(problem):
    r"""Return $(F_L-\phi(0))/(\lambda/8)$."""
    return float((symmetric(problem).value - fit(problem, 0.0)) / (problem.weight_decay[0] / 8))


def draw_instances(key):
    """Draw for two shapes networks whose excess is a tenth to nine tenths of lambda/8, lambda found by bisection."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for classes, samples, extra, depth in (*pick(rng, SMALL), *pick(rng, LARGE)):
        for share in (rng.uniform(0.1, 0.3), rng.uniform(0.3, 0.5), 0.6, rng.uniform(0.7, 0.8), 0.9):
            mu, radius = log_uniform(rng, 0.02, 0.3), rng.uniform(0.7, 1.5)
            low, high = 1e-6, 1e3
            while high > (1 + 1e-3) * low:
                middle = (low * high) ** 0.5
                network = drawn_network(np.random.default_rng(0), classes, samples, extra, depth, (middle, mu), radius)
                low, high = (low, middle) if excess(network) < share else (middle, high)
            problem = drawn_network(rng, classes, samples, extra, depth, (high, mu), radius)
            shown = {"K": classes, "n": samples, "d": classes * samples + extra, "L": depth, "lambda": high, "mu": mu}
            drawn.append(nct.Instance(problem, shown | {"rho": radius, "share": float(share)}))
    return drawn


def orthonormal(instance):
    """Tell whether the inputs are orthonormal, and classes have two samples or more."""
    inputs = np.asarray(instance.problem.inputs)
    off = np.abs(inputs.T @ inputs - np.eye(inputs.shape[1])).max()
    return bool(off < ROUNDED) and instance.problem.samples >= 2


def predict_with(factor=1.0, stretched=True, exact=False):
    """State the values, larger by a factor, of networks that do not stretch class means, or of exact collapse."""

    def predict(problem):
        best = symmetric(problem)
        if not stretched:
            best = least(problem, 1e12, symmetric_spread(problem.samples))
        value = fit(problem, 0.0) if exact else best.value
        return Values(factor * value, factor * bound(problem), factor * (0.0 if exact else best.variability))

    return predict


def only_an_eighth(problem):
    r"""State that no network comes below $\phi(0)+\frac\lambda8$."""
    return predict_with()(problem)._replace(bound=fit(problem, 0.0) + problem.weight_decay[0] / 8)


def objective(problem, params):
    """Return the objective."""
    return problem.objective(params)


def fit_claim(times=1.0):
    """Claim that fit and decay of V come to at least what the variability says, or some times the variability."""

    def above(problem, params):
        decay = 0.5 * problem.weight_decay[0] * jnp.sum(params.branches**2)
        return problem.objective(params) - decay - fit(problem, times * variability(problem, params))

    return nct.LowerBound(
        "fit", r"f-\frac\lambda2\sum_l|W_l|^2\ge\phi(\nu)", above, lambda v: v.zero, scope="any point", terms=objective,
        size=objective,
    )  # fmt: skip


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, ResidualNetwork),
            orthonormal,
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)),
            lambda i: excess(i.problem) <= 1.0,
        ),
        sources=(
            SUKENIK_2025.remark(
                "Their abstract: global optima of deep regularised ResNets and transformers with LayerNorm are approximately "
                "collapsed, the more so the deeper they are. The model, the orders and the bounds here are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        method=nct.theorems.Solve(),
        claims=(
            nct.Equality(
                "value",
                r"f(\mathrm{symmetric})=F_L",
                lambda problem, params: problem.objective(network(problem, params)),
                lambda v: v.network,
                scope="any point",
            ),
            nct.GlobalValue("minimum", r"\min f=F_L", lambda v: v.network),
            nct.LowerBound(
                "bound",
                r"f\ge\min(F(1,\frac{n-1}n\epsilon^2),\phi(0)+\frac\lambda8)",
                objective,
                lambda v: v.bound,
                scope="any point",
                resolution=0.5,
                because="how far the minimum lies above it is told by its value",
            ),
            fit_claim(),
            nct.Equality("variability", r"\nu", variability, lambda v: v.variability),
        ),
        controls=(
            nct.Control("exact", "collapse is exact and free", predict_with(exact=True)),
            nct.Control(
                "not stretched", "means that are not stretched", predict_with(stretched=False), ("value", "minimum")
            ),
            nct.Control("an eighth", "no network below phi(0) + lambda/8", only_an_eighth, ("bound",)),
            nct.Control("twice", "twice the variability in the fit", versions=(fit_claim(times=2.0),)),
            nct.Control("1e-6 off", "all numbers larger by a relative 1e-6", predict_with(factor=1 + 1e-6)),
        ),
        seeds=48,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
