r"""Deep linear networks on data: critical values, strict and non-strict saddles.

The landscape of a deep linear network on given data can be listed completely. At every critical point the network is
the least-squares solution, projected on some of the K directions in which the inputs predict the targets, and its value
says on which. Wrong directions always leave a way down that the curvature shows. With the right directions, but too few
of them, it depends on the ranks of the layers: there are points which second order cannot tell from minima.

Problem:
    $\min_{W_1,\dots,W_L}\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ for inputs $X\in\mathbb R^{d_0\times N}$ and targets
    $Y\in\mathbb R^{K\times N}$ of N samples, over two or more layers $W_l\in\mathbb R^{d_l\times d_{l-1}}$, $d_L=K$.
Theorem (Kawaguchi 2016, Theorem 2.3; Achour et al. 2024, number unchecked; the rule for tightened points is our own):
    For $f=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ with $XX^\top$ invertible and the $K$ eigenvalues
    $\lambda_1>\dots>\lambda_K>0$ of $\Sigma=YX^\top(XX^\top)^{-1}XY^\top$ distinct, every critical value is
    $\frac1{2N}(|Y|_F^2-\sum_{i\in S}\lambda_i)$, $|S|=r$ the rank of the product, and every such value with $r\le
    r_{\max}=\min(d_l)$ occurs. With $S\ne\{1,\dots,r\}$ the point is a strict saddle; with $S=\{1,\dots,r_{\max}\}$ a
    global minimiser; with $S=\{1,\dots,r\}$, $r<r_{\max}$, a strict saddle unless it is tightened: for every pivot
    $i>j$ the block $W_{i-1}\cdots W_{j+1}$ or $W_{j-1}\cdots W_1XY^\top W_L\cdots W_{i+1}$ has rank $r$ (the latter
    has, in particular, where $W_L\cdots W_{i+1}$ or $W_{j-1}\cdots W_1$ has); then its Hessian has no negative
    eigenvalue.
Hypotheses:
    - squared error, no decay, no bias
    - at least two layers
    - X X^T invertible
    - Sigma with distinct positive eigenvalues (so d_L <= d_0)
Notation:
    Achour, Malgouyres, Gerchinovitz: H layers, |W_H ... W_1 X - Y|^2 without 1/2N; d_0 = d_x, d_L = d_y.
Why:
    Let W be the product, $M=YX^\top(XX^\top)^{-1}$ and P the projector on the range of $W_L\cdots W_2$. The gradient in
    $W_1$ vanishes only where $W=PM$, and then the one in $W_L$ only where $P\Sigma P=\Sigma P$: P projects on r of the
    eigenvectors, which gives the value. Conversely $U_S$, identities and $U_S^\top M$ are critical. If S is not
    leading, turn one of its eigenvectors in $W_L$ and $W_1$ towards one of a larger eigenvalue outside: f falls to
    second order. The $r_{\max}$ leading ones are the best approximation of that rank (Eckart and Young). In a direction
    $(D_l)$ the Hessian is $\frac1N|\Delta X|_F^2-\frac2N\sum_{i>j}\mathrm{tr}(QD_iBD_j)$ with the first change $\Delta$
    of the product, $B=W_{i-1}\cdots W_{j+1}$ and $Q=W_{j-1}\cdots W_1XY^\top(I-P)W_L\cdots W_{i+1}$, and $Q=0$ iff the
    second block of the theorem has rank r. Suppose $Q\ne0$ and B has a higher rank than r at some pivot. To multiply B
    by the layers above, or else by those below, lowers its rank, as the whole product would have the rank of B
    otherwise. So there is a $D_i$ or a $D_j$ of rank one that leaves the product alone to first order, and with a small
    change of the other one the trace prevails. Where at every pivot $Q=0$ or B has rank r, the traces add up to
    $\mathrm{tr}(XY^\top(I-P)\Delta W^-\Delta)$ with any generalised inverse $W^-$. For the leading directions this is
    at most $\frac12|\Delta X|_F^2$, because the eigenvalues outside S are smaller than those inside.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. The value of each end is held against the list, to what its gradient leaves open, and every entry of the list
    must occur: at an end, or at a point built for it where the gradient vanishes to rounding. For each type of end the
    smallest eigenvalue of the Hessian off the gauge is computed, and its sign held against the ranks of the layers at
    that very point. All of this is sampled: critical points that no start reached are not excluded. Points at which a
    rank is in doubt count neither way.
Refuted by:
    One critical point with a value off the list, an entry that no point has, or a Hessian with another sign than the
    ranks say. The same check must refute that two blocks of a pivot need the rank, that every saddle is strict, that
    none with the leading directions is, that only leading directions or only full rank occur, and a list off by 1e-6.
Example:
    Three layers of width one inside, so that the minimiser has rank one: the list, and what a census finds. The last
    value is that of rank zero, at which some points are tightened and others are strict saddles.

    >>> problem = data_instance(np.random.default_rng(0), (2, 1, 1, 2)).problem
    >>> [round(one.value, 6) for one in nct.closed_form.data_critical_values(problem)]
    [0.613805, 1.062598, 1.06622]
    >>> found = nct.census(problem, starts=50).rows
    >>> for value, kind in sorted({(round(row.value, 6), row.kind) for row in found}):
    ...     print(value, kind)
    0.613805 minimum
    1.062598 strict saddle
    1.06622 degenerate
    1.06622 strict saddle
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ACHOUR_2024, KAWAGUCHI_2016
from proofs_numeric.landscape.data_chains import DISTINCT, INVERTIBLE, UNDECAYED, data_instance, projections, value
from proofs_numeric.pool import pick

ID = "achour"
# A shape is (d_0, …, d_L), with d_L <= d_0, and is drawn with several data sets: two to four layers, two to four outputs.
TWO = ((3, 3, 2), (4, 2, 4), (2, 2, 2))
THREE = ((3, 2, 2, 3), (4, 3, 2, 2))
FOUR = ((3, 2, 2, 2, 2), (2, 2, 2, 2, 2))
DATA_SETS = 4


class Listed(NamedTuple):
    """What the theorem says of all critical points."""

    values: jax.Array
    non_strict: jax.Array
    """The rows (value, least number of complementary blocks of the product's rank) at which no curvature is negative."""


def draw_instances(key):
    """Draw several data sets for one shape of each depth; in one of the shapes there are 60 samples."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths in (*pick(rng, TWO), *pick(rng, THREE), *pick(rng, FOUR)):
        samples = 60 if len(widths) == 3 else None
        drawn += [data_instance(rng, widths, samples) for _ in range(DATA_SETS)]
    return drawn


def listed(tightened, keep=lambda one, problem: True):
    """Predict with a rule for how many blocks of a pivot make a point tightened, and only a part of the list."""

    def predict(problem):
        entries = [one for one in nct.closed_form.data_critical_values(problem) if keep(one, problem)]
        rows = []
        for one in entries:
            if one.minimum is not False:
                blocks = range(4) if one.minimum else [count for count in range(4) if tightened(count)]
                rows += [(one.value, count) for count in blocks]
        return Listed(jnp.asarray([one.value for one in entries]), jnp.asarray(np.reshape(rows, (-1, 2)), dtype=float))

    return predict


def value_and_blocks(problem, params):
    """Observe the value and the least number of complementary blocks, which is not finite where a rank is in doubt."""
    return jnp.stack([problem.objective(params), nct.closed_form.pivot_blocks(problem, params)])


def three_or_more_layers(instance):
    """Say whether there are three layers or more, so that a point can be tightened."""
    return instance.parameters["L"] > 2


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(UNDECAYED, lambda i: i.problem.depth >= 2, INVERTIBLE, DISTINCT),
        sources=(
            ACHOUR_2024.remark("The rule for tightened points was derived and checked by computation, not quoted."),
            KAWAGUCHI_2016.remark("The number is as three later papers and notes cite it.", number="Theorem 2.3"),
        ),
        instances=draw_instances,
        predict=listed(lambda blocks: blocks >= 1),
        claims=(
            nct.MemberOf(
                "values",
                r"2Nf\in\{|Y|_F^2-\sum_{i\in S}\lambda_i\}",
                value,
                lambda p: p.values,
                scope="critical points",
                of_value=True,
                witness=projections,
            ),
            nct.Index(
                "strict or tightened",
                r"\lambda_{\min}(\nabla^2f)\ge0\iff\mathrm{minimum\ or\ tightened}",
                value_and_blocks,
                lambda p: p.non_strict,
            ),
        ),
        controls=(
            nct.Control(
                "two blocks",
                "a point is tightened when at least two of the three blocks have the rank of the product (N17)",
                listed(lambda blocks: blocks >= 2),
                claims=("strict or tightened",),
                applies=three_or_more_layers,
            ),
            nct.Control(
                "always strict",
                "every saddle is strict, as for two layers",
                listed(lambda blocks: False),
                claims=("strict or tightened",),
                applies=three_or_more_layers,
            ),
            nct.Control(
                "never strict",
                "no saddle with the leading directions is strict",
                listed(lambda blocks: True),
                claims=("strict or tightened",),
            ),
            nct.Control(
                "leading directions only",
                "every critical point projects on the leading directions",
                listed(lambda blocks: blocks >= 1, lambda one, problem: one.minimum is not False),
                claims=("values",),
            ),
            nct.Control(
                "1e-6 off",
                "every critical value larger by a relative 1e-6",
                lambda problem: (found := listed(lambda blocks: blocks >= 1)(problem))._replace(
                    values=(1 + 1e-6) * found.values
                ),
                claims=("values",),
            ),
            nct.Control(
                "full rank only",
                "the product of every critical point has rank min(d_l)",
                listed(lambda blocks: blocks >= 1, lambda one, problem: one.rank == min(problem.widths)),
                claims=("values",),
            ),
        ),
        several_basins=True,
        seeds=512,
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
