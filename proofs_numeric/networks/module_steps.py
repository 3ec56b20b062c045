r"""What a small batch writes into convolutional and residual networks.

A step on a few samples writes into a dense layer no more directions than it saw samples. A convolution sees each sample at
many positions, and each may write a direction of its own: a kernel, as a matrix from patches to channels, obeys the same law
with the positions counted, and not without. Connections past the blocks and norms change nothing. Nor do they for the sum of
the classifier's rows, which cross-entropy leaves to the decay whatever the layers below are.

Problem:
    $f_S=\frac1B\sum_{i\in S}\ell(z_i,y_i)+\frac12\sum_p\lambda_p|\theta_p|^2$ for sets S of B samples and a network of
    convolutions with linear layers at its end, or of residual blocks with norms or without.
Theorem (after Galanti, Siegel, Gupte and Poggio 2025 and Zhao, Cheng, Masarczyk and Lucchi 2026, numbers unchecked):
    Let a kernel W of decay $\lambda$ stand for a matrix from its inputs at one position to its outputs, and be applied at P
    positions of a sample, and $q=1-\eta\lambda$. After n steps of size $\eta$ from any point
    $\mathrm{rank}(W_{t+n}-q^nW_t)\le nBP$. If $\ell(z+c1,y)=\ell(z,y)$ for all c, the sums of the rows of the head's weights
    and of its bias become $q^n$ times what they were.
Hypotheses:
    - some kernel with more than nBP rows and columns
    - decays >= 0
Notation:
    Galanti et al.: the penalty is $\lambda|\theta|^2$, so that a step multiplies by $1-2\eta\lambda$; they count patches too.
Why:
    The fit's gradient in W is a sum over samples and positions of a product of what enters the kernel there, a column, and the
    gradient in what it puts out, a row: BP products, whatever stands below and above. A step multiplies W by q and subtracts
    $\eta$ times that. For such a loss the gradient in the logits of a sample sums to zero, and so do the rows of that in the
    head.
Checked:
    At random starts and after 50 and 300 steps of gradient descent n steps on given samples are made within the observation,
    and the singular values beyond nBP of what was written are held against zero, to the rounding of the terms of each step.
    No seed needs to converge. All this is sampled.
Refuted by:
    One kernel at one point with another singular value that is not zero, or one sum of rows off its power of q, by more than
    rounding. The same check must refute nB for nBP in convolutions, nBP - 1, a decay off by 1e-6, twice the decay, and the
    law of the rows for squared error.
Example:
    How many directions one sample writes into the second kernel of a network, which it sees at four positions.

    >>> with jax.enable_x64(True):
    ...     network = draw_batched(jax.random.key(0))[0].problem
    ...     point = network.init(jax.random.key(0), 1.0)
    ...     written = residue(network, point, stepped(network, point)[0], ("convolutions", 1))
    ...     found = singular_values(written)
    ...     positions(network, ("convolutions", 1)), int(jnp.sum(found > 1e-12))
    (4, 4)
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import GALANTI_2025, ZHAO_2026
from proofs_numeric.conserved.vector_field import norm, one, relative, zero
from proofs_numeric.networks.layers import moved, of_kind, singular_values
from proofs_numeric.networks.module_instances import blocks, convolutions
from proofs_numeric.networks.module_spaces import at, reach

ID = "module-steps"
STEP = 0.5
ONE, TWO, SAME = ((2,),), ((0,), (3,)), ((1, 4),)
"""The samples of each step."""


class Batched(nct.networks.ModuleNetwork):
    """A network with the numbers of the samples of each step."""

    batches: tuple[tuple[int, ...], ...] = eqx.field(static=True)


def draw_batched(key):
    """Draw networks of both kinds, with decays of all arrays or of matrices alone and without."""
    rng = nct.theorems.numpy_rng(key)
    level = (10.0 ** rng.uniform(-2, -1, size=9)).tolist()
    some: dict[str, Any] = {"matrices_only": True}
    entropy: dict[str, Any] = {"loss": "cross_entropy"}
    wide: dict[str, Any] = {"channels": (2, 6, 6), "linear": 1}
    drawn = (
        (convolutions(rng, level[0], **wide), ONE),
        (convolutions(rng, level[1], **wide, **entropy), ONE),
        (convolutions(rng, level[2], channels=(2, 5), linear=3, **entropy, **some), TWO),
        (convolutions(rng, level[3], channels=(3, 5), linear=2, activation="tanh"), SAME),
        (convolutions(rng, 0.0, channels=(2, 5), linear=2, activation="leaky_relu", **entropy), ONE),
        (blocks(rng, level[4], width=5), TWO),
        (blocks(rng, level[5], width=5, **entropy), SAME),
        (blocks(rng, level[6], width=5, normalised=True, **entropy), TWO),
        (blocks(rng, level[7], width=4, normalised=True, number=3, **some), ONE),
        (blocks(rng, level[8], width=4, bias=False, activation="tanh", **entropy), SAME),
    )
    return [batched(*pair) for pair in drawn]


def batched(instance, batches, **more):
    """Give an instance the samples of its steps."""
    network = of_kind(Batched, instance.problem, batches=batches)
    told = {"steps": len(batches), "batch": len(batches[0])}
    return nct.Instance(network, instance.parameters | told | more)


def draw_squared(key):
    """Draw a network with squared error, to which the law of the rows does not apply."""
    return [batched(blocks(nct.theorems.numpy_rng(key), 0.05, width=4), ONE, asked="rows")]


def kernels(problem):
    """Return the paths of all kernels."""
    form = problem.make
    if isinstance(form, nct.networks.ConvNet):
        found = [("convolutions", i) for i in range(len(form.channels))]
        return [*found, *(("tail", i) for i in range(form.linear - 1)), ("head",)]
    return [("embedding",), *(("blocks", i, name) for i in range(form.blocks) for name in ("up", "down")), ("head",)]


def positions(problem, path):
    """Return P, the positions of a sample at which a kernel is applied; behind the first each side is halved, rounded up."""
    if path[0] != "convolutions":
        return 1
    return int(np.prod([-(-side // 2 ** path[1]) for side in problem.make.image]))


def seen(problem, path, counted=True):
    """Return nBP, or nB where positions are not `counted`."""
    return sum(map(len, problem.batches)) * (positions(problem, path) if counted else 1)


def as_matrix(tree, path):
    """Return a kernel as its inputs at one position x its outputs."""
    kernel = at(tree, path)["kernel"]
    return kernel.reshape(-1, kernel.shape[-1])


def wide_kernels(problem):
    """Return the paths of the kernels with more than nBP rows and columns."""
    shapes = jax.eval_shape(problem.init, jax.random.key(0), 1.0)
    found = []
    for path in kernels(problem):
        *rows, columns = at(shapes, path)["kernel"].shape
        if min(int(np.prod(rows)), columns) > seen(problem, path):
            found.append(path)
    return found


def terms_of(problem, params):
    r"""Return, for each array, the absolute values of the products that the fit's gradient is a sum of.

    They are at most the derivatives of the logits' reach times their slope, to which 1 is added for a probability.
    """
    slope = jnp.abs(problem.loss.gradient(problem.logits(params), problem.targets)) + 1.0
    weight = jax.lax.stop_gradient(slope) / problem.targets.shape[1]
    return jax.grad(lambda x: jnp.sum(weight * reach(problem, x)))(params)


@jax.jit  # one program within all observations
def stepped(problem, params):
    """Make a step on each of the batches, and bound the terms of which each array is a sum on the way."""
    now, size = params, jax.tree.map(jnp.abs, params)
    for batch in problem.batches:
        part = problem.samples(np.asarray(batch))
        size = jax.tree.map(lambda s, x: s + STEP * jnp.abs(x), size, terms_of(part, now))
        now = moved(now, (-STEP, part.value_and_grad(now)[1]))
    return now, size


def factor(problem, path, decay=1.0):
    """Return q^n of an array, with a decay that is multiplied."""
    return (1.0 - STEP * decay * at(problem.decays(), path)) ** len(problem.batches)


def residue(problem, before, after, path, decay=1.0):
    """Return what the steps wrote into a kernel."""
    return as_matrix(after, path) - factor(problem, (*path, "kernel"), decay) * as_matrix(before, path)


def rank(counted=True, fewer=0, decay=1.0):
    """State that what is written has no more directions, or a wrong version of it."""

    def terms(problem, params):
        after, size = stepped(problem, params)
        for path in wide_kernels(problem):
            error, scale = norm(as_matrix(size, path)), norm(as_matrix(params, path))
            beyond = singular_values(residue(problem, params, after, path, decay))[
                seen(problem, path, counted) - fewer :
            ]
            yield relative(beyond, scale, error, params), relative(error, scale, error, params)

    def off(problem, params):
        return jnp.concatenate([found for found, _ in terms(problem, params)])

    def rounded(problem, params):
        return norm(*(error for _, error in terms(problem, params)))

    statement = r"\mathrm{rank}(W_{t+n}-(1-\eta\lambda)^nW_t)\le nBP"
    return nct.Equality("rank", statement, off, zero, scope="any point", terms=rounded, size=one)


def rows(decay=1.0):
    """State the law of the sums of the head's rows, or a wrong version of it."""

    def parts(problem, params):
        after, size = stepped(problem, params)
        for name in params["head"]:
            path = ("head", name)
            last, told = (jnp.sum(jnp.atleast_2d(at(x, path)), axis=1) for x in (after, params))
            error = problem.classes**0.5 * norm(at(size, path))
            yield last, factor(problem, path, decay) * told, error

    def terms(problem, params):
        found = list(parts(problem, params))
        scale, error = norm(*(told for _, told, _ in found)), norm(*(error for _, _, error in found))
        return jnp.concatenate([last - told for last, told, _ in found]), scale, error

    def off(problem, params):
        return relative(*terms(problem, params), params)

    def rounded(problem, params):
        _, scale, error = terms(problem, params)
        return relative(error, scale, error, params)

    statement = r"(W_L,b_L)^\top1\text{ becomes }(1-\eta\lambda)^n(W_L,b_L)^\top1"
    return nct.Equality(
        "rows",
        statement,
        off,
        zero,
        scope="any point",
        terms=rounded,
        size=one,
        applies=lambda instance: instance.problem.loss.shift_invariant or instance.parameters.get("asked") == "rows",
    )


def wrong(name, text, *versions, applies=lambda instance: True):
    """Make a control of some claims."""
    return nct.Control(name, text, versions=versions, applies=applies)


def decayed(instance):
    """Tell whether there is a decay."""
    return instance.parameters["decay"] > 0


def many_positions(instance):
    """Tell whether a wide kernel is applied at several positions."""
    return any(positions(instance.problem, path) > 1 for path in wide_kernels(instance.problem))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: bool(wide_kernels(i.problem)), lambda i: i.parameters["decay"] >= 0),
        sources=(
            GALANTI_2025.remark("The mechanism, with patches; the form for n steps from any point is our own."),
            ZHAO_2026.remark("The sums of the rows; the laws of steps are in our own form."),
        ),
        instances=draw_batched,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 50, 300), rate=0.02),
        seeds=16,
        claims=(rank(), rows()),
        controls=(
            wrong("positions not counted", "nB for nBP in convolutions", rank(counted=False), applies=many_positions),
            wrong("one direction fewer", "nBP - 1 for nBP", rank(fewer=1)),
            wrong(
                "decay 1e-6 off",
                "a decay larger by a relative 1e-6",
                rank(decay=1 + 1e-6),
                rows(decay=1 + 1e-6),
                applies=decayed,
            ),
            wrong("twice the decay", "(1 - 2 eta lambda)^n", rank(decay=2.0), rows(decay=2.0), applies=decayed),
            nct.Control("squared error", "the law of the rows for squared error", outside=draw_squared),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
