r"""Features on a sphere and a classifier of given norm: the simplex ETF.

If features have a given length and the classifier a given norm as a whole, its rows may differ in length. They do not: the
minimum of cross-entropy shares the norm out evenly over the classes, and features and rows are the corners of one simplex.
Longer features or a larger norm lower the minimum through their product alone.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $W\in\mathbb R^{K\times d}$ with $|W|_F=\omega$ and the features
    $h_i\in\mathbb R^d$ of length $|h_i|=\rho$ of $N=nK$ samples, without a bias.
Theorem (Graf et al. 2021, number unchecked):
    For $d\ge K-1$ and balanced classes $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)\ge\log(1+(K-1)e^{-\rho\omega\frac{\sqrt K}{K-1}})$,
    with equality exactly where the features of class k are one $h_k$, these form a simplex of length $\rho$, and
    $w_k=\frac\omega{\rho\sqrt K}h_k$. The bound holds for shorter features and smaller W as well.
Hypotheses:
    - cross-entropy of one-hot labels
    - W of given Frobenius norm, features on a sphere
    - balanced classes, K >= 2
    - d >= K-1
Notation:
    Graf et al.: features in a ball of radius rho, W of norm at most r; the minimum lies on both boundaries.
Why:
    As in `ufm-sphere` the mean is at least $\log(1+(K-1)e^{-m})$ with
    $m\le\frac{\rho}{K(K-1)}\sum_k|Kw_k-\sum_jw_j|\le\frac\rho{K(K-1)}\sqrt{K\cdot K^2|W|_F^2}=\rho\omega\frac{\sqrt K}{K-1}$,
    with equality only where all $|w_k|$ agree and $\sum_jw_j=0$.
Checked:
    Random starts are followed along the gradient flow to their ends. The least eigenvalue of a matrix bounds the minimum from
    below at each end, without the formula (one multiplier for the whole of W), and the value must lie in the interval so
    certified. Logits, $WW^\top$ with the equal lengths of its rows, $H^\top H$ and self-duality are compared at the certified
    ends, to what their gradients leave open, for $\rho\omega$ over a factor of 80. In as few dimensions as K-1 some starts end
    in other minima; of these the theorem does not speak.
Refuted by:
    One certified end at which any of these differs by more than its tolerance. The same check must refute K in the place of
    $\sqrt K$, orthogonal directions, Gram matrices and the scale of self-duality off by 1e-6.
Example:
    Three classes in four dimensions, rho = 2, omega = 3: the value by the formula and at the ends of four random starts.

    >>> problem = build_instance(3, 4, 2, 6.0).problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (predict(problem).value, *ends.value)]
    [0.011015, 0.011015, 0.011015, 0.011015, 0.011015]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import GRAF_2021
from proofs_numeric.hypotheses import BALANCED
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.simplex import bound, frame, frame_claims, frame_controls, orthogonal, orthogonal_control

ID = "graf-ce"
# A shape is (K, d, n); in the first of each pool d = K-1.
POOLS = (((3, 2, 2), (2, 2, 3), (3, 4, 3)), ((4, 3, 2), (4, 6, 3), (5, 7, 2)), ((6, 5, 3), (7, 9, 2)))
STRENGTHS = ((0.1, 0.3), (0.3, 0.9), (0.9, 2.7), (2.7, 8.0))


def build_instance(classes, dim, n, product, rng=None):
    """Build the instance of a given rho omega; their ratio is drawn where there is a generator."""
    ratio = 2.0 / 3.0 if rng is None else log_uniform(rng, 0.2, 5.0)
    radius, norm = float((product * ratio) ** 0.5), float((product / ratio) ** 0.5)
    problem = nct.problems.spherical_features(counts=(n,) * classes, dim=dim, radius=radius, weight_norm=norm)
    return nct.Instance(problem, {"K": classes, "d": dim, "n": n, "rho": radius, "omega": norm})


def draw_instances(key):
    """Draw a shape of each pool with rho omega in each part of the range."""
    rng = nct.theorems.numpy_rng(key)
    return [
        build_instance(*shape, log_uniform(rng, *ends), rng)
        for pool in POOLS
        for shape in pick(rng, pool)
        for ends in STRENGTHS
    ]


def predict_with(frame_of=None, power=0.5):
    """State the frame with rows of equal lengths; the power of K in the exponent is that of the root."""

    def exponent(classes, product):
        return bound(classes, product * classes ** (power - 0.5))

    def predict(problem):
        row = problem.size / jnp.sqrt(1.0 * problem.classes)
        return frame(problem, row=row, exponent=exponent, **({} if frame_of is None else {"frame_of": frame_of}))

    return predict


predict = predict_with()

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy"),
            lambda i: isinstance(i.problem, nct.problems.SphericalFeatures) and i.problem.classifier == "norm",
            BALANCED,
            lambda i: i.problem.dim >= i.problem.classes - 1,
        ),
        sources=(
            GRAF_2021.remark("The bound and where it is met; read was the abstract. The short proof is our own."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=frame_claims(),
        controls=(
            nct.Control(
                "K for its root", "K in the place of the root of K in the exponent", predict_with(power=1.0), ("value",)
            ),
            orthogonal_control(predict_with(orthogonal)),
            *frame_controls(predict),
        ),
        several_basins=True,
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
