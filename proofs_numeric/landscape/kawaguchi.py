r"""Deep linear networks on data: no poor local minima.

A deep linear network is a hard problem in its weights and an easy one in its product. This theorem says that the
hardness lies in saddles alone: on generic data no local minimum is worse than the global one, whatever the depth and
the widths. A descent may be slow, but there is no bad minimum for it to be caught in. Where the layers above the first
one have full rank, a saddle also shows in the curvature; where they have not, the curvature may be flat. On that rests
the control "whatever the rank", and `achour` tells which saddles are flat.

Problem:
    $\min_{W_1,\dots,W_L}\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ for inputs $X\in\mathbb R^{d_0\times N}$ and targets
    $Y\in\mathbb R^{d_L\times N}$ of N samples, over two or more layers $W_l\in\mathbb R^{d_l\times d_{l-1}}$.
Theorem (Kawaguchi 2016, Theorem 2.3):
    For $f=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ with $XX^\top$ and $XY^\top$ of full rank, $d_L\le d_0$ and distinct
    eigenvalues of $\Sigma=YX^\top(XX^\top)^{-1}XY^\top$, every critical point that is not a global minimiser is a
    saddle, and the Hessian has a negative eigenvalue there if $W_L\cdots W_2$ has rank $p$, the least hidden width.
Hypotheses:
    - squared error, no decay, no bias
    - X X^T invertible
    - X Y^T of full rank, d_L <= d_0
    - Sigma with distinct positive eigenvalues (so d_L <= d_0)
Notation:
    Kawaguchi: H+1 layers W_{H+1} ... W_1, squared error without 1/N, p the least hidden width.
Why:
    The curvature: let $M=YX^\top(XX^\top)^{-1}$ and P be the projector on the range of $W_L\cdots W_2$. The gradient in
    $W_1$ vanishes only where the product is $PM$, and then the one in $W_L$ only where $P\Sigma P=\Sigma P$, so that P
    projects on some eigenvectors of $\Sigma$ and the value is $\frac1{2N}(|Y|_F^2-\sum\lambda_i)$ over these. If
    $W_L\cdots W_2$ has rank p, then p is at most $d_L$ and there are p of them, the largest rank of any product. With
    the p leading ones this is the best approximation of rank p (Eckart and Young), a global minimiser. Else turn one of
    them, in $W_L$ and $W_1$ together, towards an eigenvector of a larger eigenvalue that is missing: the value falls to
    second order in the angle, and because the gradient is zero the Hessian has a negative eigenvalue. That points where
    $W_L\cdots W_2$ has a lower rank are saddles too is quoted, not shown here.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. The minimum is the least value on the list of critical values; it must lie between the values of the ends and
    a certified lower bound. At ends where $W_L\cdots W_2$ has rank p the smallest eigenvalue of the Hessian off the
    gauge must be negative, unless the value is the minimum; elsewhere the claim does not speak. The value is certified.
    The curvature is sampled: critical points that no start reached are not excluded. That a saddle without negative
    curvature is no minimum is not checked.
Refuted by:
    An end below the predicted minimum, or one above it at which $W_L\cdots W_2$ has rank p and no curvature is
    negative. The same check must refute negative curvature whatever the rank, the second value of the list in the place
    of the first, that every critical point is a strict saddle, and a minimum higher by 1e-6.
Example:
    One hidden unit: the values of the list, and those of the critical points that a census finds, with their number of
    negative eigenvalues. At the last one the layers are zero.

    >>> problem = data_instance(nct.theorems.numpy_rng(jax.random.key(0)), (2, 1, 2)).problem
    >>> [round(float(value), 6) for value in predict(problem).values]
    [0.613805, 1.062598, 1.06622]
    >>> [(round(row.value, 6), row.index) for row in nct.census(problem, starts=50).rows]
    [(0.613805, 0), (1.062598, 1), (1.06622, 2)]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_networks import KAWAGUCHI_2016
from proofs_numeric.landscape.data_chains import (
    CORRELATED,
    DISTINCT,
    INVERTIBLE,
    UNDECAYED,
    data_instance,
    fit_at_zero,
    value,
)
from proofs_numeric.pool import pick

ID = "kawaguchi"
# A shape is (d_0, …, d_L), of two, three and four layers, and is drawn with several data sets.
TWO = ((4, 2, 3), (5, 3, 4), (2, 1, 2))
THREE = ((3, 2, 3, 2), (4, 2, 2, 4))
FOUR = ((2, 2, 2, 2, 2), (3, 2, 2, 2, 2))
DATA_SETS = 4


class Global(NamedTuple):
    """What the theorem says of all critical values: the least one, and all of them."""

    least: jax.Array
    values: jax.Array


def draw_instances(key):
    """Draw several data sets for one shape of each depth; in one of the shapes there are 60 samples."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths in (*pick(rng, TWO), *pick(rng, THREE), *pick(rng, FOUR)):
        samples = 60 if len(widths) == 3 else None
        drawn += [data_instance(rng, widths, samples) for _ in range(DATA_SETS)]
    return drawn


def predict(problem):
    """Take the smallest value of the list as the global minimum; all the others are those of saddles."""
    values = jnp.asarray([one.value for one in nct.closed_form.data_critical_values(problem)])
    return Global(values[:1], values)


def upper_rank(problem, params):
    """Find the rank of W_L … W_2, which is not finite where it is in doubt."""
    return nct.problems.segment_ranks(problem, params)[problem.depth + problem.depth - 2]


def where_full(problem, params):
    """Observe the objective where W_L … W_2 has rank p = min(d_1, …, d_{L-1}); elsewhere the claim says nothing."""
    full = upper_rank(problem, params) == min(problem.widths[1:-1])
    return jnp.where(full, problem.objective(params), jnp.nan)


def strict_saddles(observe, statement):
    """Claim that saddles have negative curvature, of those of which the observable is finite."""
    return nct.Index("strict", statement, observe, lambda p: p.least)


def three_or_more_layers(instance):
    """Say whether there are three layers or more: with two, saddles are strict whatever the ranks."""
    return instance.parameters["L"] > 2


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(UNDECAYED, INVERTIBLE, CORRELATED, DISTINCT),
        sources=(
            KAWAGUCHI_2016.remark(
                "Of its four parts the one on the curvature of saddles, and the value of the minimum; not that a saddle "
                "without negative curvature is no minimum. The number is as three later papers and notes cite it.",
                number="Theorem 2.3",
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.least[0], terms=fit_at_zero),
            strict_saddles(
                where_full,
                r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f,\ \mathrm{where\ }W_L\cdots W_2\mathrm{\ is\ full}",
            ),
        ),
        controls=(
            nct.Control(
                "whatever the rank",
                "every saddle has negative curvature, whatever the rank of W_L ... W_2",
                versions=(strict_saddles(value, r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f"),),
                applies=three_or_more_layers,
            ),
            nct.Control(
                "second value",
                "the second critical value is the least at which there are minimisers",
                lambda problem: predict(problem)._replace(least=predict(problem).values[1:2]),
            ),
            nct.Control(
                "no minimum",
                "every critical point is a strict saddle",
                lambda problem: predict(problem)._replace(least=jnp.full((1,), jnp.nan)),
                claims=("strict",),
            ),
            nct.Control(
                "1e-6 higher",
                "the global minimum higher by a relative 1e-6",
                lambda problem: predict(problem)._replace(least=(1 + 1e-6) * predict(problem).least),
                claims=("value",),
            ),
        ),
        several_basins=True,
        seeds=256,
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
