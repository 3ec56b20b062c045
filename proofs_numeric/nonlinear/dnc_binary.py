r"""Two classes behind any number of ReLUs: neural collapse is optimal in every layer.

With two classes, squared error and free features a chain of ReLUs costs no less than the same chain without them, and its
best network is neural collapse: behind every ReLU the features of the two classes are orthogonal, one direction each, and
all layers share the work evenly, as in the linear chain. Before the first ReLU they need not be orthogonal: there the two
means may oppose each other by any angle, at no cost. With three classes all this is false (`relu-rank-two`).

Problem:
    $\min\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features $H\in\mathbb R^{d_0\times N}$ of $N=n_1+n_2$ samples of two classes with one-hot labels Y,
    $\sigma$ a ReLU.
Theorem (Sukenik et al. 2023, number unchecked; unequal classes and the proof by the linear chain are our own):
    For $f=\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b_k=\frac{LN}{n_k}(N\lambda_H\prod\lambda_l)^{1/L}$, $g_k(x)=\frac1{x^L+1}+b_kx$ and $x_k$ the largest root of
    $b_k=Lx^{L-1}/(x^L+1)^2$ where $g_k(x_k)<1$, else 0. Then $\min f=\sum_k\frac{n_k}{2N}g_k(x_k)$, every global minimiser
    has $Z=\mathrm{diag}(\frac{x_k^L}{1+x_k^L})Y$, orthogonal class means behind every ReLU, and the norms
    $\lambda_l|W_l|_F^2=\lambda_H|H|_F^2=(N\lambda_H\prod\lambda_l)^{1/L}\sum_kx_k$. All is zero exactly where
    $\max_kb_k^{-1}$ is at most $L(L-1)^{-(L-1)/L}$: for n samples a class where
    $n\lambda_H\prod\lambda_l\ge\frac{(L-1)^{L-1}}{2^{L+1}L^{2L}}$ (at equality zero is one of the minimisers).
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - two classes
    - every width >= 2
    - all decays > 0
    - no bias
    - no strength b equal to the onset
Notation:
    Sukenik et al.: n samples a class, lambda_{W_l}, lambda_{H_1}, fit 1/(2N)|.|^2 as here.
Why:
    Samples of a class may be taken alike, each the best for the layers above it. Let the features X of the two classes
    behind a ReLU have no negative entry, and let a row w of the next layer put out a positive number at one class and at most
    zero at the other. The shortest such row puts out exactly zero there, because $x_1^\top x_2\ge0$ draws $w^\top x_2$
    upwards: the layer could as well be linear. Below the first ReLU the features are free: what it puts out, A, costs the
    nuclear norm of a Z with $\sigma(Z)=A$, and this is at least that of A, since the polar factor of A has no positive entry
    where A vanishes. So the chain costs no less than the linear one (`dang-mse-imb`), whose minimiser can be taken without a
    negative entry, as Y is diagonal. But $|Z|_*=|A|_*$ also at $A=I$, $Z=(1,-t;-t,1)$ with $0\le t\le1$.
Checked:
    Random starts are followed along the flow that slides on the kinks to their ends, where the least subgradient vanishes. The
    lower bound is the separable one of the linear chain, by the argument above, and the value lies in the interval so
    certified. Logits, the Gram matrices behind every ReLU and the norms of all factors are compared at the certified ends
    (sampled: uniqueness is not certified at kinks). Networks whose means oppose each other before the first ReLU, by any part
    t, are built and must have the least value too, to rounding. The onset is located by bisection between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, a network of the family of another value, or an
    onset outside its bracket. The same check must refute one layer more in b, N left out, means that oppose each other by
    t > 1, everything 1e-6 off, and in the bisection an onset 0.1 % off.
Example:
    The value of neural collapse, and of the best of 24 random starts; the cosines of two classes before and behind a ReLU.

    >>> from proofs_numeric.nonlinear.relu_chains import chain
    >>> problem = chain((2, 2, 2, 2), (1, 1), (0.02,) * 4)
    >>> ends = nct.solve(problem, seeds=24, scale=1.6)
    >>> best = int(np.argmin(ends.value))
    >>> [round(float(value), 6) for value in (predict(problem).minimum.value, ends.value[best])]
    [0.079183, 0.079183]
    >>> z = ends.params.weights[0][best] @ ends.params.features[best]
    >>> bool(z[:, 0] @ z[:, 1] < 1e-9), bool(abs(np.maximum(z[:, 0], 0) @ np.maximum(z[:, 1], 0)) < 1e-9)
    (True, True)
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import SUKENIK_2023
from proofs_numeric.deep.chains import strengths
from proofs_numeric.hypotheses import NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.relu_chains import (
    RELU_CHAIN,
    below_the_onset,
    build_instance,
    chain_claims,
    drawn_strengths,
    linear,
    onset_claim,
    predict,
    wrong_versions,
)
from proofs_numeric.pool import pick
from proofs_numeric.thresholds import DISTINCT

ID = "dnc-binary"
# A shape is (widths, counts); unequal classes and one sample a class are among them.
TWO_LAYERS = (((2, 2, 2), (2, 2)), ((3, 2, 2), (1, 1)), ((2, 3, 2), (3, 1)))
THREE_LAYERS = (((2, 3, 2, 2), (1, 1)), ((2, 2, 2, 2), (2, 1)))
MORE_LAYERS = (((2, 2, 2, 2, 2), (1, 1)), ((2, 2, 2, 2, 2), (2, 2)))


def draw_instances(key):
    """Draw chains of two, three and four layers: weak and moderate decay, close to the onset on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts in (*pick(rng, TWO_LAYERS), *pick(rng, THREE_LAYERS), *pick(rng, MORE_LAYERS)):
        drawn += [build_instance(rng, widths, counts, relative) for relative in drawn_strengths(rng)]
    return drawn


def opposed(reach):
    """Return a network whose two means oppose each other before the first ReLU, by a part drawn up to `reach` or 1 beyond."""

    def network(problem, params):
        true = predict(problem)
        singular = jnp.asarray(true.minimum.layer_singular_values)
        sizes = np.asarray(problem.counts, float)
        place = np.argsort(np.argsort(-sizes, kind="stable"))
        singular = singular[:, place]
        # The part is drawn from the point that is looked at; beyond 1 the matrix Z is not positive semidefinite.
        part = reach + 0.5 * (1 + jnp.sin(sum(jnp.sum(x) for x in jax.tree.leaves(params))))
        first = singular[-1] * singular[0]
        cross = -part * jnp.sqrt(first[0] * first[1])
        values, vectors = jnp.linalg.eigh(jnp.diag(first) + cross * (1 - jnp.eye(2)))
        # Z = V D V^T is shared out evenly: W_1 = a V |D|^(1/2), H = |D|^(1/2) sign(D) V^T / a with a^4 = lambda_H/lambda_1.
        decay = jnp.asarray(problem.weight_decay)
        balance, root = (decay[-1] / decay[0]) ** 0.25, jnp.sqrt(jnp.abs(values))
        labels = np.repeat(np.arange(2), problem.counts)
        below = (root * jnp.sign(values))[:, None] * vectors.T / balance / jnp.sqrt(jnp.asarray(sizes))[None, :]
        widths = problem.widths
        factors = [balance * vectors * root[None, :], *map(jnp.diag, singular[1 : problem.depth])]
        weights = tuple(
            jnp.zeros((up, low)).at[:2, :2].set(factor)
            for up, low, factor in zip(widths[1:], widths[:-1], factors, strict=True)
        )
        return nct.problems.ChainParams(weights, jnp.zeros((widths[0], len(labels))).at[:2].set(below[:, labels]), None)

    return network


def family_claim(reach=0.0):
    """Claim that networks whose means oppose each other before the first ReLU cost no more, or ones beyond them."""
    network = opposed(reach)
    return nct.Equality(
        "opposed means",
        r"f(W,H_t)=\min f,\ 0\le t\le1",
        lambda problem, params: problem.objective(network(problem, params)),
        lambda p: p.minimum.value,
        scope="any point",
        terms=lambda problem, params: problem.value_terms(network(problem, params)),
    )


def off_the_onset(instance):
    """Tell whether no class lies at its onset."""
    b = strengths(linear(instance.problem))[3]
    return bool(np.min(np.abs(b / nct.closed_form.onset(instance.problem.depth) - 1)) > DISTINCT)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            nct.Hypothesis("two classes", lambda i: i.problem.classes == 2),
            nct.Hypothesis("every width >= 2", lambda i: min(i.problem.widths) >= 2),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("no strength b equal to the onset", off_the_onset),
        ),
        sources=(
            SUKENIK_2023.remark("For balanced classes; unequal ones and the way through the linear chain are our own."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(*chain_claims(), family_claim(), onset_claim()),
        controls=(
            *wrong_versions(),
            nct.Control(
                "opposed beyond",
                "means that oppose each other by more cost no more either",
                versions=(family_claim(1.0),),
                applies=below_the_onset,
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
