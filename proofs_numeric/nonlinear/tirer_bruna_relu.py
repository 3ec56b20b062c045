r"""Two layers with a ReLU between them: for few classes nothing is found below neural collapse.

With two layers of weights and one ReLU, squared error and balanced classes, the best networks that are found are those of
the linear chain: features behind the ReLU that are orthogonal, one direction a class. The proof in print rests on the
assumption that a ReLU does not change the nuclear norm of what goes into it at the minimum. In general it can even raise it
(erratum N3). Next to the onset the conclusion is false for six classes and more (`relu-hexagon`, found when this theorem
was verified there), and with four layers at every decay (`relu-rank2`). That it
holds for five classes or fewer is seen here and not proved.

Problem:
    $\min\frac1{2N}|W_2\sigma(W_1H)-Y|_F^2+\frac{\lambda_1}2|W_1|_F^2+\frac{\lambda_2}2|W_2|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (Tirer and Bruna 2022, number unchecked, under an assumption on the nuclear norm behind the ReLU):
    For $f=\frac1{2N}|W_2\sigma(W_1H)-Y|_F^2+\frac{\lambda_1}2|W_1|_F^2+\frac{\lambda_2}2|W_2|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b=2K\sqrt{N\lambda_1\lambda_2\lambda_H}$, $g(x)=\frac1{x^2+1}+bx$ and x the largest root of $b=2x/(x^2+1)^2$ where
    $g(x)<1$, else 0. Then $\min f=\frac12g(x)$, every minimiser has $Z=\frac{x^2}{1+x^2}Y$ and orthogonal class means
    behind the ReLU, and $\lambda_1|W_1|_F^2=\lambda_2|W_2|_F^2=\lambda_H|H|_F^2=K\sqrt{N\lambda_1\lambda_2\lambda_H}\,x$.
    All is zero for $b>\frac12$. This is stated for $K\le5$, and for $K=6$ and $b\le0.4$.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - L = 2
    - K <= 5, or K = 6 and b <= 0.4
    - balanced classes, K >= 2
    - d >= K
    - all decays > 0
    - no bias
Notation:
    Tirer and Bruna: lambdas and fit 1/(2N)|.|^2 as here.
Why:
    If the ReLU leaves the nuclear norm of $W_1H$ alone at a minimiser, this costs no less than the linear chain
    (`deep-mse-linear`), whose minimiser can be taken without a negative entry. With two classes the ReLU never raises that
    norm, and the theorem is certified (`dnc-binary`). With more it can: of a circulant of seven cosines it makes 7.494 of
    7. A network has to gain more by such features in the second layer than they cost, as a hexagon does next to the onset.
    With five classes or fewer none is known.
Checked:
    Random starts are followed along the flow that slides on the kinks to their ends, where the least subgradient vanishes.
    No certificate is known: the best end of at least 128 starts stands for the minimum (sampled), and an end below neural
    collapse would refute the theorem. Logits, the Gram matrix behind the ReLU and the norms of all factors are compared at
    the best ends.
Refuted by:
    One end below neural collapse by more than rounding, a best end above it, or a best end at which any of these differs by
    more than its tolerance. The same check must refute one layer more in b, N left out, and everything 1e-6 off.
Example:
    The value of neural collapse and of the best of 16 random starts.

    >>> from proofs_numeric.nonlinear.relu_chains import chain
    >>> problem = chain((4, 4, 3), (1,) * 3, (0.02,) * 3)
    >>> ends = nct.solve(problem, seeds=16, scale=1.5)
    >>> [round(float(value), 8) for value in (predict(problem).minimum.value, ends.value.min())]
    [0.08816221, 0.08816221]
"""

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022
from proofs_numeric.deep.chains import strengths
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.relu_chains import (
    RELU_CHAIN,
    build_instance,
    chain_claims,
    linear,
    predict,
    wrong_versions,
)
from proofs_numeric.pool import log_uniform, near, pick
from proofs_numeric.thresholds import SEARCH_OF_STRUCTURES

ID = "tirer-bruna-relu"
# A shape is (widths, counts).
SMALL = (((3, 3, 3), (1,) * 3), ((2, 3, 2), (2, 2)))
MIDDLE = (((4, 5, 3), (2,) * 3), ((4, 4, 4), (1,) * 4))
LARGE = (((6, 6, 6), (1,) * 6), ((5, 6, 5), (1,) * 5))


def draw_instances(key):
    """Draw for each shape weak and moderate decay, one close to the onset and one beyond it."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        weak, moderate = log_uniform(rng, 0.02, 0.3), rng.uniform(0.4, 0.8)
        close = (near(rng, False, 1e-2), rng.uniform(1.05, 1.25)) if len(counts) <= 5 else ()
        for relative in (weak, moderate, *close):
            drawn.append(build_instance(rng, widths, counts, relative))
    return drawn


def few_or_weak(instance):
    """Tell whether there are at most five classes, or six at decays well below the onset."""
    weak = float(strengths(linear(instance.problem))[3].max()) <= 0.4
    return instance.problem.classes <= 5 or (instance.problem.classes == 6 and weak)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            nct.Hypothesis("L = 2", lambda i: i.problem.depth == 2),
            nct.Hypothesis("K <= 5, or K = 6 and b <= 0.4", few_or_weak),
            BALANCED,
            DIM_CLASSES,
            POSITIVE_DECAYS,
            NO_BIAS,
        ),
        sources=(TIRER_2022.remark("The ReLU case under their assumption; sampled here without it."),),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Solve(search=SEARCH_OF_STRUCTURES),
        claims=chain_claims(),
        controls=wrong_versions(located=False),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
