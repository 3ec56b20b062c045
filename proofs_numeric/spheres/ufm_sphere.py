r"""Features and classifiers on spheres: the simplex ETF at every temperature.

Where features and classifiers are normalised, only their directions are free, and the product of their lengths over the
temperature says how sharply they are compared. No decay is needed to make the minimum finite. At every temperature it is
neural collapse: features of a class coincide with its classifier, and the classes are the corners of a regular simplex.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i/T,y_i)$ over $W\in\mathbb R^{K\times d}$ with rows of length $|w_k|=\omega$ and the
    features $h_i\in\mathbb R^d$ of length $|h_i|=\rho$ of $N=nK$ samples, without a bias.
Theorem (Yaras et al. 2022, number unchecked; d = K-1, K is our own reading):
    Let $\tau=\rho\omega/T$ and $d\ge K-1$. The minimum of $\frac1N\sum_i\mathrm{CE}(Wh_i/T,y_i)$ over the product of spheres
    is $\log(1+(K-1)e^{-\tau K/(K-1)})$, and every minimiser has $w_k/\omega=h_{k,i}/\rho$ and
    $WW^\top=\omega^2\frac K{K-1}(I-11^\top/K)$.
Hypotheses:
    - cross-entropy of one-hot labels
    - every row of W on a sphere, features on a sphere
    - balanced classes, K >= 2
    - d >= K-1
Notation:
    Yaras et al.: their tau is the factor on unit vectors, rho omega/T here.
Why:
    By convexity of $\log(1+(K-1)e^{-x})$ and of the exponential the mean loss is at least $\log(1+(K-1)e^{-m})$ with
    $m=\frac1{N(K-1)}\sum_i\sum_{j\ne y_i}(z_{y_ii}-z_{ji})$, with equality only where all these margins agree. With class
    means $\bar h_k$ that sum is $n\sum_k\langle Kw_k-\sum_jw_j,\bar h_k\rangle/T$, at most
    $\frac{n\rho}{T}\sum_k|Kw_k-\sum_jw_j|\le\frac{n\rho}T\sqrt{K\sum_k|Kw_k-\sum_jw_j|^2}\le nK^2\tau$, with equality only
    where $\sum_jw_j=0$ and the features of class k all are $\rho w_k/\omega$. So $m\le\tau\frac K{K-1}$, and equal
    margins leave the simplex alone.
Checked:
    Random starts are followed along the Riemannian gradient flow to their ends. The least eigenvalue of a matrix bounds the
    minimum from below at each end, without the formula (the semidefinite program over Gram matrices of any rank), and the
    value must lie in the interval so certified. Logits, $WW^\top$, $H^\top H$ and self-duality are compared at the certified
    ends, to what their gradients leave open, over two decades of $\tau$. In as few dimensions as K-1 some starts may end in
    other minima (`sphere-fold`); of these the theorem does not speak.
Refuted by:
    One certified end at which any of these differs by more than its tolerance. The same check must refute the exponent
    $\tau$ in the place of $\tau K/(K-1)$, orthogonal directions, and Gram matrices and the scale of self-duality off by 1e-6.
Example:
    Three classes in the plane at $\tau=2$: the value by the formula and at the ends of four random starts.

    >>> problem = build_instance(3, 2, 2, 2.0).problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (predict(problem).value, *ends.value)]
    [0.094923, 0.094923, 0.094923, 0.094923, 0.094923]
"""

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import YARAS_2022
from proofs_numeric.hypotheses import BALANCED
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.simplex import bound, frame, frame_claims, frame_controls, orthogonal, orthogonal_control

ID = "ufm-sphere"
# A shape is (K, d, n); in the first of each pool d = K-1.
POOLS = (((3, 2, 2), (2, 2, 3), (3, 4, 3)), ((4, 3, 2), (4, 6, 3), (5, 7, 2)), ((6, 5, 3), (8, 10, 2)))
STRENGTHS = ((0.06, 0.2), (0.2, 0.6), (0.6, 2.0), (2.0, 6.0))


def build_instance(classes, dim, n, tau, rng=None):
    """Build the instance of a given tau; lengths and temperature are drawn where there is a generator."""
    radius, row = (1.0, 1.0) if rng is None else (log_uniform(rng, 0.3, 3.0), log_uniform(rng, 0.3, 3.0))
    problem = nct.problems.spherical_features(
        counts=(n,) * classes, dim=dim, temperature=radius * row / tau, radius=radius, weight_radius=row
    )
    return nct.Instance(problem, {"K": classes, "d": dim, "n": n, "tau": float(tau)})


def draw_instances(key):
    """Draw a shape of each pool with tau in each quarter of two decades, and the simplex in its own dimension."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for pool in POOLS:
        for shape in pick(rng, pool):
            drawn += [build_instance(*shape, log_uniform(rng, *ends), rng) for ends in STRENGTHS]
    return drawn


def predict(problem):
    """State the simplex; the problem's own radius is rho/T, so that the inner product with h_i is the logit."""
    return frame(problem)


def predict_orthogonal(problem):
    """State an orthogonal frame."""
    return frame(problem, orthogonal)


def without_factor(problem):
    """State the exponent tau in the place of tau K/(K-1)."""
    return frame(problem, exponent=lambda classes, tau: bound(classes, (classes - 1) / classes * tau))


def is_sphere(instance):
    """Say whether the rows of W and the features lie on spheres."""
    return isinstance(instance.problem, nct.problems.SphericalFeatures) and instance.problem.classifier == "sphere"


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy"),
            is_sphere,
            BALANCED,
            lambda i: i.problem.dim >= i.problem.classes - 1,
        ),
        sources=(YARAS_2022.remark("Read was the abstract. The short proof is our own, as is the range d >= K-1."),),
        instances=draw_instances,
        predict=predict,
        claims=frame_claims(),
        controls=(
            nct.Control("without K/(K-1)", "the exponent tau in the place of tau K/(K-1)", without_factor, ("value",)),
            orthogonal_control(predict_orthogonal),
            *frame_controls(predict),
        ),
        several_basins=True,
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
