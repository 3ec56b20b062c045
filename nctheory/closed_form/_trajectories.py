"""Exact trajectories of the gradient flow in linear networks on white inputs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._minimum import NoClosedForm
from nctheory.closed_form._require import require
from nctheory.closed_form._thresholds import MAX_VIOLATION
from nctheory.engine import Array, Scalar, float64, is_traced
from nctheory.problems import ChainParams, DeepLinear

NODES, PANELS, NEWTON = 24, 6, 100


@float64
def mode_height(layers: int, strength: Any, start: Any, time: Any) -> Array:
    r"""The height u(t) of one mode of strength S in a balanced, aligned network of L `layers`.

    $\dot u=Lu^{2-2/L}(S-u)$, u(0) = `start` in (0, S) (Saxe, McClelland, Ganguli, ICLR 2014; number unchecked). For L = 2
    $u=S/(1+(S/u_0-1)e^{-2St})$; in general $p=\log\frac u{S-u}$ solves $\int_{p_0}^p(1+e^{-x})^{1-2/L}dx=LS^{2-2/L}t$, by
    Gauss quadrature and Newton's method. It can be traced and vmapped; the arguments are broadcast. Raises ValueError for
    fewer layers than two.

    >>> [round(float(mode_height(layers, 1.0, 0.1, 2.0)), 6) for layers in (2, 3)]
    [0.858486, 0.897523]
    """
    if layers < 2:
        raise ValueError(f"layers: expected at least 2, got {layers}")
    strength, start, time = jnp.broadcast_arrays(*(jnp.asarray(x, float) for x in (strength, start, time)))
    if layers == 2:
        return strength / (1.0 + (strength / start - 1.0) * jnp.exp(-2.0 * strength * time))
    power = 1.0 - 2.0 / layers
    nodes, weights = (jnp.asarray(x) for x in np.polynomial.legendre.leggauss(NODES))
    # The start is p_0 = log(u_0/(S - u_0)), and the time enters as L S^(2 - 2/L) t.
    begin = jnp.log(start / (strength - start))
    target = layers * strength ** (2.0 - 2.0 / layers) * time

    def passed(end: Array) -> Array:
        # The integral from p_0 to p of (1 + e^-x)^(1 - 2/L) is taken by Gauss quadrature on equal panels.
        cut = jnp.linspace(0.0, 1.0, PANELS + 1)
        places = (cut[:-1, None] + 0.5 * (nodes + 1.0)[None, :] / PANELS).reshape([1] * begin.ndim + [-1])
        x = begin[..., None] + (end - begin)[..., None] * places
        return (end - begin) * ((1.0 + jnp.exp(-x)) ** power @ jnp.tile(0.5 * weights / PANELS, PANELS))

    def newton(_: Array, p: Array) -> Array:
        # The integral is concave in p, so that the iterates come from the left.
        return p - (passed(p) - target) / (1.0 + jnp.exp(-p)) ** power

    # The height is u = S/(1 + e^-p).
    return strength / (1.0 + jnp.exp(-jax.lax.fori_loop(0, NEWTON, newton, begin)))


@float64
def aligned_trajectory(
    problem: DeepLinear, start: ChainParams, times: Float[Array, "T"]
) -> tuple[Float[Array, "T r"], Float[Array, "T K d_0"]]:
    r"""Heights of the modes, and the product W_L … W_1, at `times` along the flow from a balanced, aligned start.

    For $f=\frac12|W_L\cdots W_1-\Sigma|_F^2$ with $\Sigma=YX^\top/N=USV^\top$ the product stays
    $U\,\mathrm{diag}(u)V^\top$, each height as `mode_height` says. Raises NoClosedForm, with the hypothesis and its measured
    violation, for anything but squared error on white inputs without bias or decay, and for a start that is not balanced or
    not aligned, or whose heights are not above 0 (and, of more than two layers, below the strengths).

    >>> import numpy as np, nctheory as nct
    >>> x = np.sqrt(2) * np.eye(2)
    >>> net = nct.deep_linear(widths=(2, 2, 2), inputs=x, targets=np.diag([2.0, 1.0]) @ x, loss="mse", weight_decay=(0, 0))
    >>> start = nct.problems.ChainParams((0.1 * np.eye(2), 0.1 * np.eye(2)), None, None)
    >>> aligned_trajectory(net, start, np.array([1.0]))[0].round(6).tolist()
    [[0.430588, 0.069453]]
    >>> aligned_trajectory(net, start._replace(weights=(0.2 * np.eye(2), 0.1 * np.eye(2))), np.array([1.0]))
    Traceback (most recent call last):
    nctheory.closed_form._minimum.NoClosedForm: needs a balanced start, got |W_2^T W_2 - W_1 W_1^T| = 0.728 of the two terms
    """
    target = _white_target(problem)
    _balanced(start)
    rank = min(problem.widths)
    # In the singular basis of Sigma the start must be diagonal: its diagonal gives the heights, all else must be rounding.
    left, strengths, right = jnp.linalg.svd(target, full_matrices=False)
    left, strengths, right = left[:, :rank], strengths[:rank], right[:rank]
    product = _product(start)
    inside = left.T @ product @ right.T
    begun = jnp.diagonal(inside)
    _between(begun, strengths, problem.depth)
    _small(
        product - left @ (begun[:, None] * right),
        product,
        "a start aligned with the modes of YX^T",
        "the part off them",
    )
    # Each mode follows the scalar equation of its own strength, and the product is put together again.
    heights = mode_height(problem.depth, strengths[None, :], begun[None, :], jnp.asarray(times)[:, None])
    return heights, jnp.einsum("ik,tk,kj->tij", left, heights, right)


@float64
def balanced_trajectory(problem: DeepLinear, start: ChainParams, times: Float[Array, "T"]) -> Float[Array, "T D D"]:
    r"""$QQ^\top$ with $Q=[W_1^\top;W_2]$ at `times` > 0 along the flow of a two-layer network from any balanced start.

    $QQ^\top(t)=e^{Ft}Q_0[I+\tfrac12Q_0^\top(e^{Ft}F^{-1}e^{Ft}-F^{-1})Q_0]^{-1}Q_0^\top e^{Ft}$ with
    $F=[0,\Sigma^\top;\Sigma,0]$ (Fukumizu 1998; Braun et al., NeurIPS 2022; number unchecked). F has the eigenvalues +s_i and
    -s_i; with $q_\pm$ the components of $Q_0$, $A=I+q_-^\top\frac{1-e^{-2st}}{2s}q_-$, $E^2=\frac{e^{2st}-1}{2s}$ and
    $C=q_+A^{-1}q_+^\top$ everything follows from $(I+ECE)^{-1}$, graded like E, by its scaled Cholesky factor: nothing
    overflows, and nothing cancels for small starts and short times. (Where $q_+$ is singular, as for starts of the opposite
    orientation, the weakest mode runs to a saddle, and rounding grows as on the path itself.) Raises NoClosedForm, with the
    measured violation, for another number of layers, for what `aligned_trajectory` refuses but alignment and heights, and for
    a correlation that is not square and invertible.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> inputs, targets = np.sqrt(2) * np.eye(2), np.sqrt(2) * np.diag([2.0, 1.0])
    >>> model = nct.deep_linear(
    ...     widths=(2, 2, 2), inputs=inputs, targets=targets, loss="mse", weight_decay=(0.0, 0.0)
    ... )
    >>> start = nct.problems.ChainParams((0.3 * np.eye(2), 0.3 * np.eye(2)), None, None)
    >>> found = balanced_trajectory(model, start, np.array([1.0, 5.0]))
    >>> np.asarray(found[:, 2:, :2]).diagonal(axis1=1, axis2=2).round(4).tolist()
    [[1.4402, 0.4222], [2.0, 0.9995]]
    """
    require(problem, depth=2)
    target = _white_target(problem)
    if target.shape[0] != target.shape[1]:
        raise NoClosedForm(f"needs as many outputs as inputs, got {target.shape}")
    _balanced(start)
    left, s, right = jnp.linalg.svd(target)
    if not is_traced(s) and not float(s[-1]) > MAX_VIOLATION * float(s[0]):
        raise NoClosedForm(f"needs YX^T invertible, got singular values from {float(s[0]):.3g} to {float(s[-1]):.3g}")
    # The rows of q_+ and q_- are the components of Q_0 along the eigenvectors (v, u)/sqrt(2) and (v, -u)/sqrt(2) of F.
    lower, upper = (jnp.asarray(weight) for weight in start.weights)
    plus = (right @ lower.T + left.T @ upper) / jnp.sqrt(2.0)
    minus = (right @ lower.T - left.T @ upper) / jnp.sqrt(2.0)
    basis = jnp.block([[right.T, right.T], [left, -left]]) / jnp.sqrt(2.0)

    def at(time: Scalar) -> Array:
        # `fading` is (1 - e^{-2st})/2s, the square of E/e^{st}: it overflows at no time, and is positive for t > 0.
        fading = -jnp.expm1(-2.0 * s * time) / (2.0 * s)
        shrunk, lifted = jnp.exp(-s * time), 1.0 / jnp.sqrt(fading)  # e^{-st}; e^{st}/E
        # A = I + q_-^T (1 - e^{-2st})/2s q_-, C = q_+ A^{-1} q_+^T and, for the cross block, q_+ A^{-1} q_-^T.
        a = jnp.eye(plus.shape[1]) + minus.T @ (fading[:, None] * minus)
        solved = jnp.linalg.solve(a, minus.T)
        c, cross = plus @ jnp.linalg.solve(a, plus.T), plus @ solved
        # I + ECE = D^{-1} (D^2 + RCR) D^{-1} with D R^{-1} = E^{-1} and the middle of unit diagonal: nothing overflows.
        small = shrunk * lifted
        r = 1.0 / jnp.sqrt(small**2 + jnp.diagonal(c))
        d = r * small
        factor = jax.scipy.linalg.cho_factor(jnp.diag(d**2) + r[:, None] * c * r[None, :])
        to_d, to_r = (jax.scipy.linalg.cho_solve(factor, jnp.diag(x)) for x in (d, r))
        # ECE(I + ECE)^{-1} = I - (I + ECE)^{-1}.
        inner = jnp.eye(s.size) - d[:, None] * to_d
        # The same as ECE(I + ECE)^{-1}, which does not cancel in the rows where ECE is small.
        small_rows = jnp.diagonal(c) <= small**2
        rows = (c * r[None, :]) @ to_d / jnp.where(small_rows, small, 1.0)[:, None]
        inner = jnp.where(small_rows[:, None], rows, jnp.where(small_rows[None, :], rows.T, inner))
        # The blocks of QQ^T by Woodbury's formula, in the eigenbasis: e^{st} goes with q_+ and e^{-st} with q_-.
        pp = lifted[:, None] * inner * lifted[None, :]
        pm = lifted[:, None] * ((d[:, None] * to_r) @ cross) * shrunk[None, :]
        mm = shrunk[:, None] * (minus @ solved - cross.T @ (r[:, None] * to_r) @ cross) * shrunk[None, :]
        return basis @ jnp.block([[pp, pm], [pm.T, mm]]) @ basis.T

    return jax.vmap(at)(jnp.asarray(times))


def _white_target(problem: DeepLinear) -> Array:
    r"""$\Sigma=YX^\top/N$, where the objective is $\frac12|W-\Sigma|^2$."""
    require(problem, loss="mse", inputs="given", bias="none", decay="zero")
    inputs, weight = jnp.asarray(problem.inputs), jnp.asarray(problem.column_weight)
    gram = (inputs * weight[None, :]) @ inputs.T
    _small(gram - jnp.eye(gram.shape[0]), gram, "white inputs, XX^T = N I", "the distance of XX^T/N from I")
    return (jnp.asarray(problem.targets) * weight[None, :]) @ inputs.T


def _balanced(start: ChainParams) -> None:
    for i, (low, up) in enumerate(zip(start.weights[:-1], start.weights[1:], strict=True), 1):
        above, below = up.T @ up, low @ low.T
        name = f"|W_{i + 1}^T W_{i + 1} - W_{i} W_{i}^T|"
        _small(above - below, jnp.concatenate([above, below]), "a balanced start", name, " of the two terms")


def _small(part: Array, whole: Array, hypothesis: str, name: str, ending: str = " of the whole") -> None:
    """NoClosedForm where a concrete part is more than rounding of the whole."""
    if is_traced(part) or is_traced(whole):
        return
    share = float(np.linalg.norm(np.asarray(part)) / max(float(np.linalg.norm(np.asarray(whole))), 1e-300))
    if not share <= MAX_VIOLATION:
        raise NoClosedForm(f"needs {hypothesis}, got {name} = {share:.3g}{ending}")


def _between(heights: Array, strengths: Array, layers: int) -> None:
    if is_traced(heights) or is_traced(strengths):
        return
    low, high = np.asarray(heights), np.asarray(strengths)
    if not np.all(low > 0) or (layers > 2 and not np.all(low < high)):
        wanted = "above 0" if layers == 2 else "above 0 and below the strengths of the modes"
        raise NoClosedForm(f"needs heights of the modes at the start {wanted}, got {low.tolist()} of {high.tolist()}")


def _product(start: ChainParams) -> Array:
    out = jnp.asarray(start.weights[0])
    for weight in start.weights[1:]:
        out = weight @ out
    return out
