"""Balanced unconstrained features with label smoothing and with the focal loss: a simplex ETF of another scale."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form
from nctheory.closed_form._require import require
from nctheory.closed_form._unconstrained import balanced_count, collapse_strength, frame_minimum
from nctheory.engine import Array, Scalar, bisect, float64, not_positive
from nctheory.problems import CrossEntropy, DeepLinear, Focal

BISECTIONS = 100


@float64
def label_smoothing_minimum(problem: DeepLinear) -> Minimum:
    r"""Label smoothing $\alpha$: $Z=a^*S\otimes1_n^\top$ with $p^*=1-\alpha+\alpha/K-(K-1)\kappa$ and
    $a^*=\log((K-1)p^*/(1-p^*))$, zero for $K\kappa\ge1-\alpha$; value
    $\log(1+(K-1)e^{-a^*})+(\kappa+\alpha/K)(K-1)a^*$. The width must be d >= K-1; any bias is covered (it stays constant).

    On $aS$ the loss is $\log(1+(K-1)e^{-a})+\alpha\tfrac{K-1}Ka$: smoothing is cross-entropy with $\kappa+\alpha/K$ for
    $\kappa$. At $\alpha=0$ this is `ufm-ce-balanced`, to which `global_minimum` then leaves it.

    Zhou, You, Li, Liu, Liu, Qu, Zhu, NeurIPS 2022 (number unchecked); the explicit form is our own.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> loss = nct.losses.label_smoothing(0.1)
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss=loss, weight_decay=(0.05, 0.05))
    >>> found = nct.solve(model, 8, light=True).value.min()
    >>> [round(float(value), 6) for value in (label_smoothing_minimum(model).value, found)]
    [0.398748, 0.398748]
    """
    if not isinstance(problem.loss, CrossEntropy):
        raise NoClosedForm(f"needs loss cross_entropy with label smoothing, got {problem.loss.label}")
    balanced_count(problem)
    require(problem, width=(problem.classes - 1, "K-1"))
    # The effective strength is kappa + alpha/K: 1 - p* = (K-1)(kappa + alpha/K), and a* = log((K-1) p*/(1 - p*)).
    classes, alpha = problem.classes, jnp.asarray(problem.loss.smoothing)
    kappa = collapse_strength(problem) / classes
    # 1 - p*, written so that a small kappa costs no digits.
    wrong = (classes - 1) * (kappa + alpha / classes)
    collapsed = classes * kappa < 1.0 - alpha
    # From K kappa = 1 - alpha on, p* is 1/K and a* zero.
    wrong = jnp.where(collapsed, wrong, (classes - 1) / classes)
    scale = jnp.where(collapsed, jnp.log(classes - 1.0) + jnp.log1p(-wrong) - jnp.log(wrong), 0.0)
    pull = jnp.where(collapsed, kappa + alpha / classes, 0.0)  # of an infinite one nothing times zero can be had
    value = jnp.log1p((classes - 1) * jnp.exp(-scale)) + pull * (classes - 1) * scale
    return frame_minimum(problem, scale, jnp.zeros(()), value, None, "ufm-ls")


@closed_form("ufm-ls", generality=-1)
def _smoothed_minimum(problem: DeepLinear) -> Minimum:
    """`label_smoothing_minimum` where there is smoothing, or where that is not known because alpha is traced."""
    if isinstance(problem.loss, CrossEntropy) and not_positive(problem.loss.smoothing):
        raise NoClosedForm("needs label smoothing, got one-hot targets")
    return label_smoothing_minimum(problem)


@float64
def focal_value(scale: Array | Scalar, gamma: Scalar, classes: int) -> Array:
    r"""$-(1-p)^\gamma\log p$ at the logits $aS$, where $p=1/(1+(K-1)e^{-a})$ on the label.

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     round(float(focal_value(0.0, 1.0, 4)), 12)
    1.03972077084
    """
    # With t = a - log(K-1) the probability p is sigmoid(t): log(1 - p) = -softplus(t) and log p = -softplus(-t).
    t = jnp.asarray(scale) - np.log(classes - 1.0)
    return jnp.asarray(jnp.exp(-gamma * jax.nn.softplus(t)) * jax.nn.softplus(-t))


@float64
def focal_strength(scale: Array | Scalar, gamma: Scalar, classes: int) -> Array:
    r"""$G=(1-p)^\gamma[(1-p)-\gamma p\log p]$ at the logits $aS$: the $(K-1)\kappa$ at which a is stationary.

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     round(float(focal_strength(0.0, 3.0, 100)), 4)
    1.0946
    """
    return jnp.exp(_log_strength(jnp.asarray(scale) - np.log(classes - 1.0), jnp.asarray(gamma)))


def _log_strength(t: Array, gamma: Array) -> Array:
    """log G where p = sigmoid(t)."""
    # log[(1-p) - gamma p log p] + gamma log(1 - p).
    rest = jax.nn.sigmoid(-t) + gamma * jax.nn.sigmoid(t) * jax.nn.softplus(-t)
    return jnp.log(rest) - gamma * jax.nn.softplus(t)


@float64
def focal_scales(strength: Scalar, gamma: Scalar, classes: int) -> Float[Array, "3"]:
    r"""The stationary $a\ge0$ of $-(1-p)^\gamma\log p+s|a|$, s = `strength`: zero, the barrier, the far root.

    G rises up to one point and falls beyond (see `Focal.profile_inflection`), so that $G=s$ has at most one root on
    either side: a local maximum, which exists only where G still rises at a = 0, and a local minimum. In the place of a
    root that does not exist stands NaN; zero is a local minimum iff $s\ge G(0)$.

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     focal_scales(1.163, 3.0, 100).round(3).tolist()
    [0.0, 0.971, 2.376]
    """
    s, g = jnp.asarray(strength), jnp.asarray(gamma)
    # All is done in t = a - log(K-1): a = 0 is t = `zero`, and G peaks at `top`, or falls from zero on.
    zero = -np.log(classes - 1.0)
    top = jnp.maximum(Focal(g).profile_inflection(classes), 0.0) + zero
    # G <= (1 + gamma) e^{-(1 + gamma) t}
    high = jnp.maximum((jnp.log1p(g) - jnp.log(s)) / (1.0 + g), top)
    at_zero, at_top = _log_strength(jnp.asarray(zero), g), _log_strength(top, g)
    # The far root lies where G falls from its peak, the barrier where G rises from a = 0 to it.
    far = _root(s, g, high, top)
    barrier = _root(s, g, jnp.asarray(zero), top)
    far = jnp.where(jnp.log(s) < at_top, far - zero, jnp.nan)
    barrier = jnp.where((jnp.log(s) < at_top) & (jnp.log(s) > at_zero), barrier - zero, jnp.nan)
    return jnp.stack([jnp.zeros(()), barrier, far])


@float64
def focal_onset(gamma: Scalar, classes: int) -> Scalar:
    r"""The $(K-1)\kappa$ below which the global minimum with the focal loss is collapsed, and from which on it is zero.

    It is $\max_{a\ge0}(\ell(0)-\ell(a))/a$ with $\ell(a)=-(1-p)^\gamma\log p$. Where G falls from a = 0 on this is $G(0)$,
    and $a^*$ goes to zero continuously; else it is $G(a)$ at the $a>0$ with $\ell(0)-\ell(a)=aG(a)$, and $a^*$ jumps from
    there to zero. (Our own.)

    >>> import jax
    >>> with jax.enable_x64(True):
    ...     round(float(focal_onset(3.0, 100)), 4), float(focal_onset(3.0, 4)) == float(focal_strength(0.0, 3.0, 4))
    (1.1635, True)
    """
    return _onset(jnp.asarray(gamma), classes)


@partial(jax.jit, static_argnames="classes")
def _onset(g: Array, classes: int) -> Array:
    top = Focal(g).profile_inflection(classes)

    def descent(a: Array) -> Array:
        return focal_value(0.0, g, classes) - focal_value(a, g, classes)

    # At the onset the line from the value at zero touches the curve of the losses: l(0) - l(a) = a G(a), beyond the top of G.
    start = jnp.maximum(top, 0.0)
    touching = bisect(lambda a: a * focal_strength(a, g, classes) - descent(a), start, start + 100.0, BISECTIONS)
    # Where G only falls from a = 0 on, the collapsed state goes to zero continuously, and the onset is G(0).
    jumps = top > 0
    return jnp.where(
        jumps, focal_strength(jnp.where(jumps, touching, 1.0), g, classes), focal_strength(0.0, g, classes)
    )


@jax.jit
def _root(s: Array, g: Array, low_end: Array, high_end: Array) -> Array:
    """The root of G = s between an end where G is below s and one where it is above."""
    return bisect(lambda t: jnp.log(s) - _log_strength(t, g), low_end, high_end, BISECTIONS)


@float64
@closed_form("ufm-focal")
def focal_minimum(problem: DeepLinear) -> Minimum:
    r"""Focal loss: $Z=a^*S\otimes1_n^\top$ with $a^*=\log((K-1)p^*/(1-p^*))$ and $p^*$ the root of
    $(1-p)^\gamma[(1-p)-\gamma p\log p]=(K-1)\kappa$ of lowest value $-(1-p)^\gamma\log p+(K-1)\kappa a$, or zero where no root
    has a value below that of zero. The width must be d >= K-1, and with a bias it must also be that $(K-1)\kappa\le1$ or
    $G(0)=(1-1/K)^\gamma[1-1/K+(\gamma/K)\log K]\le1$, within which we can prove it.

    Zhou, You, Li, Liu, Liu, Qu, Zhu, NeurIPS 2022 (number unchecked); the explicit equation, the choice between its roots
    and the condition on the bias are our own.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss=nct.losses.focal(2.0), weight_decay=(0.05, 0.05))
    >>> [round(float(value), 6) for value in (focal_minimum(model).value, nct.solve(model, 8, light=True).value.min())]
    [0.10477, 0.10477]
    """
    if not isinstance(problem.loss, Focal):
        raise NoClosedForm(f"needs loss focal, got {problem.loss.label}")
    balanced_count(problem)
    require(problem, width=(problem.classes - 1, "K-1"))
    classes, gamma = problem.classes, jnp.asarray(problem.loss.gamma)
    # The objective on aS is -(1-p)^gamma log p + (K-1) kappa a: the minimum is at the far root of G = (K-1) kappa, or at
    # zero.
    strength = (classes - 1) / classes * collapse_strength(problem)
    steep = focal_strength(0.0, gamma, classes)
    if problem.bias_decay is not None:
        _needs_tame_bias(strength, steep)
    far = focal_scales(strength, gamma, classes)[2]
    exists = far > 0.0
    scale = jnp.where(exists, far, 0.0)
    value = focal_value(scale, gamma, classes) + jnp.where(exists, strength, 0.0) * scale
    at_zero = focal_value(0.0, gamma, classes)
    # Where zero is a local maximum the root is below it, by less than rounding close to the onset.
    collapsed = exists & ((value < at_zero) | (strength < steep))
    return frame_minimum(
        problem,
        jnp.where(collapsed, scale, 0.0),
        jnp.zeros(()),
        jnp.where(collapsed, value, at_zero),
        None,
        "ufm-focal",
    )


def _needs_tame_bias(strength: Scalar, steep: Scalar) -> None:
    try:
        both = float(strength), float(steep)
    except TypeError:  # tracers: the hypothesis is the caller's
        return
    if min(both) > 1.0:
        raise NoClosedForm(
            f"with a bias needs (K-1) kappa <= 1 or G(0) <= 1, got (K-1) kappa = {both[0]:.6g} and G(0) = {both[1]:.6g}"
        )
