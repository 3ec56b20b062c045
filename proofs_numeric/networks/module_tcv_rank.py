r"""The rank of kernels and the variability within groups.

A dense layer at a critical point has no more directions than there are classes, but for those that the variability within
classes writes (tcv-rank). A kernel that is applied at many positions of a sample, of a convolution or of a transformer that
reads a sequence, is asked for more: the mean of a class is another one at every position. Its rank is that of classes times
positions; or the differences between positions count as variability, and then it is that of classes again. Connections past
the layers, norms and attention change nothing.

Problem:
    $f=\mathrm{fit}+\frac\lambda2\sum_p|\theta_p|^2$, fit the mean loss of a module of flax, whose samples are put into K
    groups. A kernel W stands for a matrix from its inputs at one position to its outputs, and is applied at P positions of
    each sample.
Theorem (after Zangrando, Deidda, Brugiapaglia, Guglielmi and Tudisco 2024, number unchecked; our own form, with positions):
    Let $x_{np}$ enter the kernel at position p of sample n, $G_{np}$ be the gradient of the fit in what it puts out there,
    and $g=\partial f/\partial W$. At any point, for every i, with $m_{np}$ the mean of x over the samples of the group at
    that position, $\sigma_{KP+i}(W)\le\sigma_i(g-\sum_{np}(x_{np}-m_{np})G_{np}^\top)/\lambda$; and with the mean over
    all positions of all samples of the group $\sigma_{K+i}(W)$ is below the same.
Hypotheses:
    - some kernel with more than K rows and columns
    - a decay > 0
Notation:
    Zangrando et al.: dense layers, of feed-forward networks in the bound on the rank, at critical points; the total cluster
    variation is the sum of $|x-m|^2$, up to a factor.
Why:
    $g=\sum_{np}x_{np}G_{np}^\top+\lambda W$ for every way in which kernels are put together, as long as each is applied in
    one place. The means take KP or K values, so that $\sum_{np}m_{np}G_{np}^\top$ has at most that rank, and the rest is
    Weyl's inequality for singular values. The squares sum to the bound on the distance. Both sides are equal where the fit
    has no gradient and all singular values are the same, and at critical points where the part between groups is larger.
Checked:
    At random starts and after 50 and 300 steps of gradient descent all kernels of the flax modules that `nctheory train`
    trains are observed: each layer notes what enters it, and the gradients in what it puts out and in the kernel are those
    of one backward pass. Both sides are held against each other to the rounding of singular values and of the sums of
    products. Some starts are arranged so that both sides are equal. All this is sampled.
Refuted by:
    One kernel at one point with a singular value above the bound by more than rounding. The same check must refute K for KP,
    KP - 1 and K - 1, twice the decay, a decay off by 1e-6, and the bounds with the gradient or the variability left out.
Example:
    The kernels of a transformer, with positions, inputs and outputs; the means of two groups at three positions have rank 6.

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     found = sizes(draw_grouped(jax.random.key(0))[8].problem)
    >>> [".".join(map(str, path)) for path in found][3:6]
    ['blocks.0.attention.value', 'blocks.0.attention.out', 'blocks.0.up']
    >>> list(found.values())[3:6]
    [(3, 8, 8), (3, 8, 8), (3, 8, 16)]
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ZANGRANDO_2024
from proofs_numeric.conserved.vector_field import EPS, norm, one, relative, rounding_unit, zero
from proofs_numeric.networks.layers import singular_values
from proofs_numeric.networks.module_instances import shown
from proofs_numeric.networks.module_layers import sizes, sweep
from proofs_numeric.networks.module_starts import draw_grouped

ID = "module-tcv-rank"


def groups(problem):
    """Return K."""
    return len(set(problem.groups))


def variation(problem, entering, apart):
    """Return what enters less the mean of its group, at each position where positions are `apart`, else over all."""
    member = np.asarray(problem.groups)[:, None] == np.asarray(problem.groups)[None, :]
    same = jnp.asarray(member / member.sum(axis=1, keepdims=True))
    means = jnp.einsum("nm,mpi->npi", same, entering)
    return entering - (means if apart else jnp.mean(means, axis=1, keepdims=True))


def sides(problem, params, apart, counted=True, fewer=0, gradient=1.0, variability=1.0, decay=1.0):
    """Yield for each wide kernel the singular values beyond the rank, those of the right side, and the rounding in both.

    The parts of the right side are multiplied by what is given, and the rank is one of a wrong version.
    """
    unit, own = rounding_unit(params), problem.weight_decay
    for passage, (positions, below, above) in zip(sweep(problem, params), sizes(problem).values(), strict=True):
        rank = groups(problem) * (positions if apart else 1)
        if min(below, above) <= rank:
            continue
        told = (rank if counted else groups(problem)) - fewer
        varied = variation(problem, passage.entering, apart)
        written = jnp.einsum("npi,npo->io", varied, passage.backward)
        slope = passage.slope + own * passage.kernel
        left = singular_values(passage.kernel)[told:]
        right = singular_values(gradient * slope - variability * written) / (decay * own)
        # Singular values are rounded relative to the largest. The gradient in the kernel and what is taken from it are sums of
        # NP products of the same numbers, each rounded by at most NP + 1 units, and the means by N more.
        product = norm(passage.entering) * norm(passage.backward) / own
        summed = 2 * passage.entering.shape[0] * (positions + 1) + 2
        error = norm(passage.kernel) + (1.0 + summed * EPS / unit) * product
        yield left, right[: len(left)], error


def excess(apart, **version):
    """Observe by how much the left sides exceed the right ones, relative to the largest singular value on the right."""

    def off(problem, params):
        found = []
        exact = sides(problem, params, apart)
        for (left, right, error), (_, law, _) in zip(sides(problem, params, apart, **version), exact, strict=True):
            found.append(relative(left[: len(right)] - right, law[0], error, params))
        return jnp.concatenate([jnp.zeros(0), *found])

    return off


def rounding_of(apart):
    """Observe the rounding of both sides, relative to the right one."""

    def rounded(problem, params):
        found = [relative(error, right[0], error, params) for _, right, error in sides(problem, params, apart)]
        return jnp.linalg.norm(jnp.stack([jnp.zeros(()), *found]))

    return rounded


ROUNDED = {apart: rounding_of(apart) for apart in (True, False)}


def wide(problem, apart):
    """Tell whether there is a kernel with more rows and columns than the rank."""
    found = sizes(problem).values()
    return any(min(low, up) > groups(problem) * (p if apart else 1) for p, low, up in found)


def apart(**version):
    """State the bound with the means of each position, or a wrong version of it."""
    statement = r"\sigma_{KP+i}(W)\le\sigma_i(g-\sum_{np}(x_{np}-m_{np})G_{np}^\top)/\lambda"
    return bound("positions apart", statement, True, version)


def together(**version):
    """State the bound with one mean of all positions, or a wrong version of it."""
    statement = r"\sigma_{K+i}(W)\le\sigma_i(g-\sum_{np}(x_{np}-m_n)G_{np}^\top)/\lambda"
    return bound("positions together", statement, False, version)


def bound(name, statement, kind, version):
    """State one of the two."""
    return nct.UpperBound(
        name, statement, excess(kind, **version), zero, scope="any point", terms=ROUNDED[kind], size=one
    )


def both(**version):
    """Return wrong versions of the two."""
    return apart(**version), together(**version)


def wrong(name, text, versions, **wanted):
    """Make a control of some claims, for instances of these parameters."""
    return nct.Control(name, text, versions=versions, applies=shown(**wanted))


EQUAL = {"starts": ("critical", "silent")}

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: wide(i.problem, False), lambda i: i.parameters["decay"] > 0),
        sources=(ZANGRANDO_2024.remark("Dense layers at critical points, with constants; ours counts positions."),),
        instances=draw_grouped,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 50, 300), rate=0.02),
        seeds=16,
        claims=(apart(), together()),
        controls=(
            wrong(
                "positions not counted",
                "K for KP, with the mean of each position",
                (apart(counted=False),),
                starts="a channel each",
            ),
            wrong("rank one lower", "KP - 1 for KP", (apart(fewer=1),), starts=("critical", "a channel each")),
            wrong("one group fewer", "K - 1 for K", (together(fewer=1),), starts="critical"),
            wrong("twice the decay", "2 lambda for lambda", both(decay=2.0), **EQUAL),
            wrong("decay 1e-6 off", "a decay larger by a relative 1e-6", both(decay=1.0 + 1e-6), **EQUAL),
            wrong(
                "gradient left out", "the ranks of critical points at any point", both(gradient=0.0), variability="none"
            ),
            wrong(
                "variability left out", "the gradient alone bounds the rest", both(variability=0.0), starts="critical"
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
