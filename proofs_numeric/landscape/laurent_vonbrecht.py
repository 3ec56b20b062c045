r"""Deep linear networks with a convex loss: local minima are global.

That linear networks have no poor local minima is no accident of the squared error. Any convex loss that can be
differentiated will do, on any data, as long as no hidden layer is narrower than both input and output: then the network
can be every linear map, and whatever a descent ends in, if it is a local minimum, is as good as the best linear map.
With a bottleneck this is false, and a network with one hidden unit shows it.

Problem:
    $\min_{W_1,\dots,W_L}\frac1N\sum_j\ell(W_L\cdots W_1x_j,y_j)$ for N samples, over two or more layers $W_l\in\mathbb
    R^{d_l\times d_{l-1}}$; here $\ell$ is a weighted squared error or $\sum_k\log\cosh(z_k-y_k)$.
Theorem (Laurent and von Brecht 2018, number unchecked):
    For $f=\frac1N\sum_j\ell(W_L\cdots W_1x_j,y_j)$ with $\ell$ convex and differentiable and every hidden width at
    least $\min(d_0,d_L)$, every local minimum is global: its value is that of the convex problem in the product.
Hypotheses:
    - loss convex and differentiable in the logits
    - hidden widths >= min(d_0, d_L)
    - no decay, no bias
Notation:
    Laurent, von Brecht: the same; text not seen, number unchecked.
Why:
    Let F be the loss as a function of the product W, and G its gradient there; it is to be shown that $G=0$ at a local
    minimum, for then convexity does the rest. If no hidden width is below $d_0$ (else transpose everything), let k be
    the first layer for which $W_k\cdots W_1$ is not injective. If k is L or does not exist, the gradient in $W_L$ is
    $G(W_{L-1}\cdots W_1)^\top=0$ with an injective $W_{L-1}\cdots W_1$, so that $G=0$. Else for every l from k to L-1
    the range of $W_l\cdots W_1$ is not the whole space, and some $w_l\ne0$ is orthogonal to it. Adding $\delta
    u_lw_l^\top$ to every $W_{l+1}$, with any $u_l$ and small $\delta$, leaves the product and so the value alone: these
    points are local minima as well, and critical. Their gradient in $W_k$, whose right factor is injective, gives
    $G^\top(W_L+\delta u_{L-1}w_{L-1}^\top)\cdots(W_{k+1}+\delta u_kw_k^\top)=0$ for all small $\delta$, so that the
    highest power of $\delta$ gives $G^\top u_{L-1}=0$, where $w_l^\top u_{l-1}\ne0$ was chosen for the others. As
    $u_{L-1}$ is any vector, $G=0$.
Checked:
    Random starts are followed along the gradient flow to their ends. The minimum of the convex problem in the product
    is computed apart, by Newton's method on one free matrix. It is held against the value of every converged end, to
    what its gradient leaves open, and against the minimum. For two layers a dual point bounds that from below, if the
    loss is convex, which was tested and not proved; for more layers no certificate is known, and the best value found
    stands for it. So all of this is sampled: a local minimum at which no descent ended is not excluded.
Refuted by:
    A converged end above the minimum of the convex problem, or one below it. The same check must refute the theorem for
    one hidden unit, where there are two local minima; the minimum of the plain squared error in the place of that of
    the loss; and a minimum lower by 1e-7.
Example:
    One output, so that one hidden unit is wide enough: the minimum over all matrices, and the ends of four descents.

    >>> problem = instance(np.random.default_rng(0), (3, 1, 1), "weighted").problem
    >>> [round(float(value), 6) for value in (predict(problem).value, *nct.solve(problem, seeds=4, light=True).value)]
    [0.58227, 0.58227, 0.58227, 0.58227, 0.58227]
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_networks import LAURENT_2018
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import SEARCH_WITHOUT_TRAPS

ID = "laurent-vonbrecht"
# A shape is (d_0, …, d_L) with hidden widths at least min(d_0, d_L); there are two or three layers, one to four outputs. With
# four layers and log cosh one start in five passes a plateau that is longer than can be followed.
WEIGHTED = ((3, 2, 2), (2, 3, 2, 4), (4, 4, 4), (3, 1, 1))
LOG_COSH = ((3, 3, 2), (4, 2, 3, 2), (2, 2, 4), (2, 2, 2, 2))
DATA_SETS = 3
NEWTON_STEPS = 60


class WeightedSquares(nct.Loss):
    r"""$\ell(z,y)=\frac12\sum_k\omega_k(z_k-y_k)^2$, with its own weights in every column."""

    omega: Float[np.ndarray | jax.Array, "K M"]
    name: ClassVar[str] = "weighted_squares"
    convex: ClassVar[bool | None] = True

    def value(self, logits, targets):
        """Compute one number for each column."""
        return 0.5 * jnp.sum(self.omega * (logits - targets) ** 2, axis=0)

    def gradient(self, logits, targets):
        """Compute the gradient in the logits."""
        return self.omega * (logits - targets)


class LogCosh(nct.Loss):
    r"""$\ell(z,y)=\sum_k\log\cosh(z_k-y_k)$: quadratic near zero, linear far away."""

    name: ClassVar[str] = "log_cosh"
    convex: ClassVar[bool | None] = True

    def value(self, logits, targets):
        """Compute one number for each column."""
        return jnp.sum(jnp.logaddexp(logits - targets, targets - logits) - jnp.log(2.0), axis=0)

    def gradient(self, logits, targets):
        """Compute the gradient in the logits."""
        return jnp.tanh(logits - targets)


class Least(NamedTuple):
    """What the theorem says of all local minima: their value."""

    value: jax.Array


def draw_instances(key):
    """Draw random data for two shapes with either loss; one of each pair has 40 samples."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for pool, loss in ((WEIGHTED, "weighted"), (LOG_COSH, "log cosh")):
        for widths, samples in zip(pick(rng, pool, 2), (None, 40), strict=True):
            drawn += [instance(rng, widths, loss, samples) for _ in range(DATA_SETS)]
    return drawn


def instance(rng, widths, loss, samples=None):
    """Draw normal inputs of a random scale, noisy targets, and weights between 0.1 and 10."""
    samples = widths[0] + 3 if samples is None else samples
    inputs = log_uniform(rng, 0.5, 2.0) * rng.normal(size=(widths[0], samples))
    targets = rng.normal(size=(widths[-1], samples)) + rng.normal(size=(widths[-1], widths[0])) @ inputs
    omega = np.exp(rng.uniform(np.log(0.1), np.log(10.0), size=targets.shape))
    made = WeightedSquares(omega) if loss == "weighted" else LogCosh()
    problem = nct.deep_linear(
        widths=widths, inputs=inputs, targets=targets, loss=made, weight_decay=(0.0,) * (len(widths) - 1)
    )
    return nct.Instance(problem, {"widths": "-".join(map(str, widths)), "loss": loss, "N": samples})


def convex(instance):
    """Try at random logits whether the loss is convex, and whether its gradient is that of its value."""
    problem, rng = instance.problem, np.random.default_rng(0)
    z = 3.0 * rng.normal(size=(2, 50, *np.shape(problem.targets)))
    return bool(_convex(problem.loss, problem.targets, z))


@jax.jit
def _convex(loss, targets, z):
    of = jax.vmap(lambda one: loss.value(one, targets))
    rise = jax.jvp(of, (z[0],), (z[1] - z[0],))[1]
    slope = jax.vmap(lambda one: loss.gradient(one, targets))(z[0])
    differentiable = jnp.allclose(rise, jnp.sum(slope * (z[1] - z[0]), axis=1), rtol=1e-9, atol=1e-9)
    return differentiable & jnp.all(of(z[1]) >= of(z[0]) + rise - 1e-9 * (1 + jnp.abs(rise)))


def no_bottleneck(instance):
    """Say whether no hidden layer is narrower than both the input and the output."""
    widths = instance.problem.widths
    return min(widths[1:-1]) >= min(widths[0], widths[-1])


def predict(problem):
    """Find the minimum over the product as one free matrix, a convex problem, by damped Newton steps."""
    inputs, shape = jnp.asarray(problem.inputs), (problem.widths[-1], problem.widths[0])

    @jax.jit
    def fit(flat):
        return problem.column_weight @ problem.loss.value(flat.reshape(shape) @ inputs, problem.targets)

    @jax.jit
    def newton(flat):
        step = jnp.linalg.solve(jax.hessian(fit)(flat), jax.grad(fit)(flat))
        tried = flat[None, :] - jnp.asarray([1.0, 0.3, 0.1, 0.01, 0.0])[:, None] * step[None, :]
        return tried[jnp.argmin(jax.vmap(fit)(tried))]

    flat = jnp.ravel(jnp.asarray(problem.targets) @ jnp.linalg.pinv(inputs))  # Far from it log cosh is nearly flat.
    for _ in range(NEWTON_STEPS):
        flat = newton(flat)
    return Least(fit(flat))


def least_squares(problem):
    """Predict the loss at the solution of the ordinary least-squares problem."""
    solution = jnp.asarray(problem.targets) @ jnp.linalg.pinv(jnp.asarray(problem.inputs))
    logits = solution @ jnp.asarray(problem.inputs)
    return Least(problem.column_weight @ problem.loss.value(logits, problem.targets))


def bottleneck(key):
    """Build the network with one hidden unit and weights (1, 30; 30, 0.9), which has two local minima."""
    eye = np.eye(2)
    loss = WeightedSquares(np.array([[1.0, 30.0], [30.0, 0.9]]))
    problem = nct.deep_linear(widths=(2, 1, 2), inputs=eye, targets=eye, loss=loss, weight_decay=(0.0, 0.0))
    return [nct.Instance(problem, {"widths": "2-1-2", "loss": "weighted", "N": 2})]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            convex,
            no_bottleneck,
            lambda i: not np.any(np.asarray(i.problem.weight_decay)) and i.problem.bias_decay is None,
        ),
        sources=(LAURENT_2018,),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality(
                "local minima",
                r"f=\min_M\frac1N\sum_j\ell(Mx_j,y_j)",
                lambda problem, params: problem.objective(params),
                lambda p: p.value,
                scope="critical points",
                of_value=True,
            ),
        ),
        controls=(
            nct.Control(
                "bottleneck",
                "hidden width 1, below min(d_0, d_L) = 2: local minima at 0.9/4 and 1/4 (N13)",
                lambda problem: Least(jnp.asarray(0.225)),
                claims=("local minima",),
                outside=bottleneck,
            ),
            nct.Control("least squares", "the minimum is where that of the plain squared error is", least_squares),
            nct.Control(
                "1e-7 lower",
                "the minimum lower by a relative 1e-7",
                lambda problem: Least((1 - 1e-7) * predict(problem).value),
            ),
        ),
        seeds=256,
        method=nct.Solve(search=SEARCH_WITHOUT_TRAPS),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
