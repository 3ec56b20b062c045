"""A stabilised explicit Runge-Kutta method, because the flow near a minimum is mildly stiff and diffrax has none."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nctheory._types import Array

DAMPING = 2.0 / 13.0


def coefficients(stages: int) -> np.ndarray:
    r"""Rows $(\mu_j,\nu_j,\tilde\mu_j,\tilde\gamma_j)$ for j = 1, …, s of the Runge-Kutta-Chebyshev method of order two.

    $w_0=1+\epsilon/s^2$, $w_1=T_s'(w_0)/T_s''(w_0)$, $b_j=T_j''(w_0)/T_j'(w_0)^2$ ($b_0=b_1=b_2$), $a_j=1-b_jT_j(w_0)$;
    $\mu_j=2b_jw_0/b_{j-1}$, $\nu_j=-b_j/b_{j-2}$, $\tilde\mu_j=2b_jw_1/b_{j-1}$, $\tilde\gamma_j=-a_{j-1}\tilde\mu_j$, and
    $\tilde\mu_1=b_1w_1$ (Sommeijer, Shampine, Verwer, J. Comput. Appl. Math. 88, 1998).

    >>> coefficients(4).shape
    (4, 4)
    """
    w0 = 1.0 + DAMPING / stages**2
    basis = [np.polynomial.Chebyshev.basis(j) for j in range(stages + 1)]
    value = np.array([t(w0) for t in basis])
    first = np.array([t.deriv()(w0) for t in basis])
    second = np.array([t.deriv(2)(w0) for t in basis])
    w1 = first[-1] / second[-1]
    b = np.concatenate([np.zeros(2), second[2:] / first[2:] ** 2])
    b[:2] = b[2]
    a = 1.0 - b * value
    table = np.zeros((stages, 4))
    table[0, 2] = b[1] * w1
    for j in range(2, stages + 1):
        scaled = 2.0 * b[j] * w1 / b[j - 1]
        table[j - 1] = 2.0 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], scaled, -a[j - 1] * scaled
    return table


class Chebyshev(diffrax.AbstractAdaptiveSolver):
    r"""Runge-Kutta-Chebyshev of order two: s gradients a step, stable on $[-\beta,0]$ with $\beta\approx\tfrac23(s^2-1)$.

    Tsit5 buys 0.6 of that interval per gradient, this method $\tfrac23s$. The error estimate is
    $\tfrac45(y_0-y_1)+\tfrac25h(f_0+f_1)$, of order three; $f_1$ is the first stage of the next step.
    """

    stages: int = eqx.field(static=True, default=10)

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., diffrax.LocalLinearInterpolation]] = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return 2

    def error_order(self, terms: Any) -> float:
        return 3.0

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Array:
        """The solver's state is the vector field at the start of the step."""
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        table = jnp.asarray(coefficients(self.stages))
        h, f0 = t1 - t0, solver_state

        def stage(j: Any, pair: tuple[Array, Array]) -> tuple[Array, Array]:
            before, last = pair
            mu, nu, scaled, start = table[j]
            slope = scaled * terms.vf(t0, last, args) + start * f0
            return last, (1.0 - mu - nu) * y0 + mu * last + nu * before + h * slope

        first = y0 + table[0, 2] * h * f0
        _, y1 = jax.lax.fori_loop(1, self.stages, stage, (y0, first))
        f1 = terms.vf(t1, y1, args)
        error = 0.8 * (y0 - y1) + 0.4 * h * (f0 + f1)
        return y1, error, {"y0": y0, "y1": y1}, f1, diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)
