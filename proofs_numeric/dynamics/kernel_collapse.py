r"""Collapse of the outputs under a tangent kernel of three values.

Suppose that the tangent kernel of a network stays what it is and knows of its samples their class alone: one number for a
sample with itself, one for two samples of a class, one for samples of two classes. Then training with squared error has
three clocks. One is that of the mean of all samples, one that of the means of the K classes, and one that of all within a
class. Outputs collapse to their class means at the slowest of these rates as a rule, and the number n of samples a class
helps the means alone.

Problem:
    $f=\frac1{2N}|WX-Y|_F^2$ for N = Kn samples, a model that is linear in its parameters W, with the kernel
    $\Theta=X^\top X$; $R=WX-Y$ is the residual of the gradient flow.
Theorem (Seleznova et al. 2023, number unchecked):
    Let $\Theta_{ij}$ be $\kappa_d$ for i = j, $\kappa_c$ for other samples of one class and $\kappa_n$ for samples of
    different classes. Its eigenvalues are $\lambda_1=\kappa_d-\kappa_c$, N - K times, on what sums to zero within every
    class, $\lambda_2=\lambda_1+n(\kappa_c-\kappa_n)$, K - 1 times, on the class means less their mean, and
    $\lambda_3=\lambda_2+N\kappa_n$, once, on the mean. With the projections $P_1,P_2,P_3$ on these spaces
    $R(t)=\sum_je^{-\lambda_jt/N}R(0)P_j$. So the outputs' sum of squares within classes is $e^{-2\lambda_1t/N}$ times that
    of the start, if the targets of a class coincide.
Hypotheses:
    - K >= 2 classes of n >= 2 samples each
    - a kernel of three values, positive definite
    - targets that coincide within each class
Notation:
    Seleznova et al.: $\lambda_\mathrm{single},\lambda_\mathrm{class},\lambda_\mathrm{global}$; their m is our n.
Why:
    $\dot R=\dot WX=-\frac1NRX^\top X$. And $\Theta=\lambda_1I+(\kappa_c-\kappa_n)B+\kappa_n11^\top$ with the block matrix B of
    ones within classes, of which $\frac1nB$ and $\frac1N11^\top$ are the projections on vectors that are constant within
    classes and constant. At a collapsed minimiser of free features with squared error, $H^\top H$ and $WW^\top$ being
    multiples of identity and blocks, the tangent kernel is of this form.
Checked:
    All entries of W are integrated along the gradient flow of f, from random starts and for random targets, twice with
    different tolerances; their difference bounds the error. The residual is held against its formula at thirty times. There
    are as many outputs as samples, so that $R(0)$ can be inverted: the trace of $R(0)^{-1}R(t)$ counts how many modes decay at
    each rate, and says nothing of which. All this is sampled.
Refuted by:
    One path that leaves a formula by more than twice the integrator's error and rounding. The same check must refute n-1 for
    n, n for N, multiplicities exchanged, outputs that collapse at the rate of the means, time that runs faster by 1e-6, and
    the formula for a kernel in which one class differs.
Example:
    Two classes of three samples: how far outputs are from their class means at time 2, by the rate and along a fresh flow.

    >>> problem = kernel_of(2, 3, (1.0, 3.0, 2.0))
    >>> start = nct.starts(problem, 1)
    >>> with jax.enable_x64(True):
    ...     path = nct.gradient_flow(problem, start, [2.0], light=True)
    ...     begun, end = (jnp.asarray(x) for x in (start[0], path.values[0, 0]))
    ...     told, seen = within(problem, begun, begun) * jnp.exp(-2.0 * 2.0 / 6.0), within(problem, end, begun)
    ...     bool(jnp.allclose(told, seen, atol=1e-6)), bool(jnp.abs(told).min() > 1e-3)
    (True, True)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import SELEZNOVA_2023
from proofs_numeric.pool import log_uniform
from proofs_numeric.thresholds import ROUNDED

ID = "ntk-collapse"
SHAPES = ((2, 2), (2, 5), (3, 3), (5, 2))
"""Classes, and samples of each."""
KERNELS = 3
"""The kernels drawn for a shape."""
SPANS = 3.0
"""The last time, in units of the slowest decay of the residual (conventional)."""


class FixedKernel(nct.Problem):
    r"""$\frac1{2N}|WX-Y|_F^2$ with as many outputs as samples; the samples of a class are next to each other."""

    inputs: jax.Array
    targets: jax.Array
    classes: int = eqx.field(static=True)

    @property
    def samples(self):
        """Return N."""
        return self.inputs.shape[1]

    @property
    def each(self):
        """Return n."""
        return self.samples // self.classes

    def init(self, key, scale):
        """Draw W."""
        return scale * jax.random.normal(key, (self.samples, self.inputs.shape[0]), jnp.float64)

    def residual(self, params):
        """Return WX - Y."""
        return params @ self.inputs - self.targets

    def objective(self, params):
        """Return f."""
        return 0.5 / self.samples * jnp.sum(self.residual(params) ** 2)

    def characteristic_scales(self):
        """Return ones: inputs, targets and starts have entries of the order of 1."""
        return nct.problems.Scales(jnp.ones(()), jnp.ones(()))


def three_values(eigenvalues, classes, each):
    """Return the three values of the kernel with these eigenvalues: within, between and at the mean."""
    within_classes, between, mean = eigenvalues
    across = (mean - between) / (classes * each)
    alike = across + (between - within_classes) / each
    return alike + within_classes, alike, across


def kernel_of(classes, each, eigenvalues, rng=None, odd=0.0):
    """Build a problem of random targets; `odd` is added to the kernel within the first class."""
    rng = np.random.default_rng(0) if rng is None else rng
    samples = classes * each
    own, alike, across = three_values(eigenvalues, classes, each)
    blocks = np.kron(np.eye(classes), np.ones((each, each)))
    kernel = (own - alike) * np.eye(samples) + (alike - across) * blocks + across
    kernel[:each, :each] += odd
    # X is the kernel's root, turned: only X^T X matters.
    values, vectors = np.linalg.eigh(kernel)
    turn = np.linalg.qr(rng.normal(size=(samples, samples)))[0]
    targets = np.repeat(rng.normal(size=(samples, classes)), each, axis=1)
    with jax.enable_x64(True):
        return FixedKernel(jnp.asarray(turn @ (np.sqrt(values)[:, None] * vectors.T)), jnp.asarray(targets), classes)


def draw_instances(shapes=SHAPES, odd=0.0, seed=0):
    """Draw for every shape kernels with eigenvalues in any order, and times until all modes have decayed."""

    def draw(key):
        rng, drawn = nct.theorems.numpy_rng(jax.random.fold_in(key, seed)), []
        for classes, each in shapes:
            for _ in range(KERNELS):
                eigenvalues = [log_uniform(rng, 0.3, 4.0) for _ in range(3)]
                problem = kernel_of(classes, each, eigenvalues, rng, odd)
                last = SPANS * classes * each / min(eigenvalues)
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * last / 30).tolist()), tolerance=1e-12)
                shown = dict(
                    zip(("kappa_d", "kappa_c", "kappa_n"), three_values(eigenvalues, classes, each), strict=True)
                )
                drawn.append(nct.Instance(problem, {"K": classes, "n": each, **shown}, 1.0, spec))
        return drawn

    return draw


def kernel_values(problem):
    """Return the means of the kernel over samples with themselves, over pairs within classes, and between classes."""
    kernel, (k, n) = problem.inputs.T @ problem.inputs, (problem.classes, problem.each)
    own, blocks = jnp.trace(kernel), jnp.sum(kernel.reshape(k, n, k, n)[jnp.arange(k), :, jnp.arange(k), :])
    pairs = k * n * (n - 1.0), (k * n) ** 2.0 - k * n**2.0
    return own / (k * n), (blocks - own) / pairs[0], (jnp.sum(kernel) - blocks) / pairs[1]


def of_three_values(instance):
    """Tell whether the kernel has no more than three values, in blocks, and is positive definite."""
    kernel = np.asarray(instance.problem.inputs.T @ instance.problem.inputs)
    own, alike, across = (float(x) for x in kernel_values(instance.problem))
    k, n = instance.problem.classes, instance.problem.each
    told = (own - alike) * np.eye(k * n) + (alike - across) * np.kron(np.eye(k), np.ones((n, n))) + across
    return bool(np.max(np.abs(kernel - told)) < ROUNDED * own) and bool(np.linalg.eigvalsh(kernel)[0] > 0)


def parted(residual, classes):
    """Split the columns of a matrix into what is within classes, the class means less their mean, and the mean."""
    means = jnp.mean(residual.reshape(residual.shape[0], classes, -1), axis=2)
    constant = jnp.repeat(means, residual.shape[1] // classes, axis=1)
    mean = jnp.mean(residual, axis=1, keepdims=True) * jnp.ones((1, residual.shape[1]))
    return residual - constant, constant - mean, mean


def residual(problem, params, start):
    """Return WX - Y."""
    return problem.residual(params)


def within(problem, params, start):
    """Return the outputs' sum of squares about their class means."""
    return jnp.sum(parted(params @ problem.inputs, problem.classes)[0] ** 2)[None]


def trace(problem, params, start):
    """Return the trace of R(0)^{-1} R(t)."""
    return jnp.trace(jnp.linalg.solve(problem.residual(start), problem.residual(params)))[None]


class Curves(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    residual: jax.Array
    within: jax.Array
    trace: jax.Array


def predict_with(fewer=0, of_all=True, exchanged=False, collapse=0, fast=1.0):
    """Predict by the eigenvalues, or by wrong ones.

    With n less `fewer` samples, n for N in the last (`of_all`), the first two multiplicities `exchanged`, outputs that
    collapse at the rate numbered `collapse`, or time that runs faster.
    """

    def predict(problem, start, times):
        k, n, samples = problem.classes, problem.each, problem.samples
        own, alike, across = kernel_values(problem)
        first = own - alike
        second = first + (n - fewer) * (alike - across)
        rates = jnp.stack([first, second, second + (samples if of_all else n) * across]) / samples
        left = jnp.exp(-fast * rates[None, :] * jnp.asarray(times)[:, None])
        parts = jnp.stack(parted(problem.residual(start), k))
        many = jnp.asarray([k - 1.0, samples - k, 1.0] if exchanged else [samples - k, k - 1.0, 1.0])
        begun = within(problem, start, start)
        return Curves(
            jnp.einsum("tj,jki->tki", left, parts),
            left[:, collapse, None] ** 2 * begun[None, :],
            (left @ many)[:, None],
        )

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.classes >= 2 and i.problem.each >= 2,
            of_three_values,
            lambda i: float(np.max(np.abs(parted(i.problem.targets, i.problem.classes)[0]))) < ROUNDED,
        ),
        sources=(
            SELEZNOVA_2023.remark("Eigenvalues, multiplicities and rates. Read was the abstract; the form is our own."),
        ),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory("residual", r"R(t)=\sum_je^{-\lambda_jt/N}R(0)P_j", residual, lambda c: c.residual),
            nct.Trajectory(
                "collapse", r"\sum_i|z_i-\bar z_{y_i}|^2\propto e^{-2\lambda_1t/N}", within, lambda c: c.within,
                logarithmic=True,
            ),
            nct.Trajectory("multiplicities", r"\mathrm{tr}R(0)^{-1}R(t)", trace, lambda c: c.trace),
        ),
        controls=(
            nct.Control("n - 1", "n-1 for n", predict_with(fewer=1), claims=("residual", "multiplicities")),
            nct.Control("n for N", "n kappa_n for N kappa_n", predict_with(of_all=False),
                        claims=("residual", "multiplicities")),
            nct.Control("exchanged", "N-K and K-1 exchanged", predict_with(exchanged=True), claims=("multiplicities",)),
            nct.Control("rate of the means", "lambda_2 for lambda_1", predict_with(collapse=1), claims=("collapse",)),
            nct.Control("1e-6 fast", "time runs faster by a relative 1e-6", predict_with(fast=1 + 1e-6)),
            nct.Control(
                "another class", "a class that is more alike than the others", predict_with(),
                outside=draw_instances(SHAPES[2:3], 0.5, 1),
            ),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
