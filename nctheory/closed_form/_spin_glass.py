"""Critical points of large spherical spin glasses: complexity by index, layers of energy, and the share of an index."""

import math

import numpy as np

from nctheory.engine import whole_number


def _degree(degree: object) -> int:
    """The degree p of an energy, at least 3: of p = 2 the critical points are only as many as eigenvectors."""
    return whole_number("degree", degree, 3)


def spin_glass_edge(degree: int) -> float:
    r"""$E_\infty=2\sqrt{(p-1)/p}$: below the energy $-E_\infty$ per spin critical points have an index that stays finite.

    Raises ValueError for a degree below 3. (Auffinger, Ben Arous, Cerny 2013.)

    >>> round(spin_glass_edge(3), 6)
    1.632993
    """
    p = _degree(degree)
    return 2.0 * math.sqrt((p - 1.0) / p)


def spin_glass_complexity(energy: float, degree: int, index: int = 0) -> float:
    r"""$\Theta_{k,p}(u)=\lim\frac1N\ln E\,\mathrm{Crt}_k(u)$: the complexity of critical points of index k of energy up to u.

    Of a spherical spin glass of degree p, at the energy u per spin: $\frac12\ln(p-1)-\frac{(p-2)u^2}{4(p-1)}-(k+1)I(u)$ for
    $u\le-E_\infty$ with $I(u)=-\frac{u}{E_\infty^2}\sqrt{u^2-E_\infty^2}-\ln(-u+\sqrt{u^2-E_\infty^2})+\ln E_\infty$, and
    $\frac12\ln(p-1)-\frac{p-2}p$ above: those of a fixed index lie below $-E_\infty$ (Auffinger, Ben Arous, Cerny 2013, number
    unchecked; the printed constant of Choromanska et al. 2015 lacks a factor $E_\infty^2$, and would make a jump).

    Raises ValueError for a degree below 3, an index below 0 and an energy that is not finite.

    >>> abs(round(spin_glass_complexity(-1.656998, 3), 5)), round(spin_glass_complexity(0.0, 3), 6)
    (0.0, 0.01324)
    """
    edge, k = spin_glass_edge(degree), whole_number("index", index, 0)
    if not math.isfinite(energy):
        raise ValueError(f"energy: expected a finite number, got {energy!r}")
    if energy >= -edge:
        return 0.5 * math.log(degree - 1.0) - (degree - 2.0) / degree
    root = math.sqrt(energy**2 - edge**2)
    cost = -energy / edge**2 * root - math.log(-energy + root) + math.log(edge)
    return 0.5 * math.log(degree - 1.0) - (degree - 2.0) * energy**2 / (4.0 * (degree - 1.0)) - (k + 1) * cost


def spin_glass_layer(degree: int, index: int = 0) -> float:
    r"""$E_k$, of which $\Theta_{k,p}(-E_k)=0$: below $-E_k$ there are no critical points of index k or more, in large systems.

    $-E_0$ is the energy of the ground state. $E_0>E_1>\dots\to E_\infty$. Raises ValueError as `spin_glass_complexity` does.

    >>> [round(spin_glass_layer(3, k), 6) for k in range(4)]
    [1.656998, 1.652873, 1.650253, 1.648399]
    """
    from scipy.optimize import brentq  # which is slow to import

    edge = spin_glass_edge(degree)
    high = 2.0 * edge
    while spin_glass_complexity(-high, degree, index) > 0:
        high *= 2.0
    found: object = brentq(lambda e: spin_glass_complexity(-e, degree, index), edge, high, xtol=1e-15)
    return float(np.asarray(found))


def spin_glass_index_share(energy: float, degree: int) -> float:
    r"""$\alpha=\frac12+\frac1\pi(y\sqrt{1-y^2}+\arcsin y)$, $y=u/E_\infty$: the share of downward directions in the limit.

    At points of the energy u per spin the Hessian's spectrum is a semicircle of radius $2\sqrt{p(p-1)}$ about $-pu$. It is
    0 below $-E_\infty$ and 1 above $E_\infty$ (theorem `index-energy`). Raises ValueError for a degree below 3 and an energy
    that is not finite.

    >>> spin_glass_index_share(0.0, 3), spin_glass_index_share(-2.0, 3)
    (0.5, 0.0)
    """
    edge = spin_glass_edge(degree)
    if not math.isfinite(energy):
        raise ValueError(f"energy: expected a finite number, got {energy!r}")
    y = min(max(energy / edge, -1.0), 1.0)
    return min(max(0.5 + (y * math.sqrt(1.0 - y**2) + math.asin(y)) / math.pi, 0.0), 1.0)
