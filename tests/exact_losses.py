"""Losses and objectives to 50 digits."""

import mpmath
import numpy as np

import nctheory as nct

CLASSES, COUNT, DIM = 3, 2, 3


def mp_matrix(x):
    """A matrix of exact float64 numbers."""
    return mpmath.matrix(np.asarray(x, float).tolist())


def column(matrix, j):
    return [matrix[k, j] for k in range(matrix.rows)]


def log_sum_exp(z):
    top = max(z)
    return top + mpmath.log(mpmath.fsum(mpmath.exp(x - top) for x in z))


def cross_entropy(loss, z, y):
    return log_sum_exp(z) - mpmath.fdot(y, z)


def pick_all(loss, z, y):
    return mpmath.fsum(y) * log_sum_exp(z) - mpmath.fdot(y, z)


def squared(loss, z, y):
    return mpmath.fsum((a - b) ** 2 for a, b in zip(z, y, strict=True)) / 2


def focal(loss, z, y):
    label = y.index(1)
    logarithm = z[label] - log_sum_exp(z)
    rest = mpmath.exp(log_sum_exp([x for k, x in enumerate(z) if k != label]) - log_sum_exp(z))
    return -(rest ** mpmath.mpf(float(loss.gamma))) * logarithm


def margins(loss, z, y):
    label = y.index(1)
    delta, gamma = ([mpmath.mpf(float(x)) for x in side] for side in (loss.class_scale, loss.label_scale))
    return label, {k: gamma[label] * (delta[label] * z[label] - delta[k] * x) for k, x in enumerate(z) if k != label}


def vector_scaling(loss, z, y):
    label, m = margins(loss, z, y)
    offset = [mpmath.mpf(float(x)) for x in loss.offset]
    return mpmath.mpf(float(loss.weight)) * log_sum_exp([mpmath.mpf(0)] + [offset[k] - offset[label] - m[k] for k in m])


def margin_penalty(loss, z, y):
    label, m = margins(loss, z, y)
    total = mpmath.mpf(0)
    for k in m:
        a, rho = mpmath.mpf(float(loss.multipliers[k, label])), mpmath.mpf(float(loss.penalty[k, label]))
        total += (max(a + rho * (1 - m[k]), 0) ** 2 - a**2) / (2 * rho)
    return total


def exactly(problem, point, loss_of_column):
    """The objective of a chain with 50 digits, by hand."""
    product = mp_matrix(point.features)
    for weight in point.weights:
        product = mp_matrix(weight) * product
    targets = mp_matrix(problem.targets)
    total = mpmath.mpf(0)
    for j, weight in enumerate(np.asarray(problem.column_weight)):
        z = column(product, j)
        if point.bias is not None:
            z = [x + mpmath.mpf(float(b)) for x, b in zip(z, point.bias, strict=True)]
        total += mpmath.mpf(float(weight)) * loss_of_column(problem.loss, z, column(targets, j))
    decays = [mpmath.mpf(float(x)) for x in problem.weight_decay]
    for decay, weight in zip(decays, point.weights, strict=False):
        total += decay / 2 * mpmath.fsum(mpmath.mpf(float(x)) ** 2 for x in np.ravel(weight))
    for j, many in enumerate(np.asarray(problem.multiplicity)):
        size = mpmath.fsum(mpmath.mpf(float(x)) ** 2 for x in point.features[:, j])
        total += decays[-1] / 2 * mpmath.mpf(float(many)) * size
    if point.bias is not None:
        total += mpmath.mpf(float(problem.bias_decay)) / 2 * mpmath.fsum(mpmath.mpf(float(b)) ** 2 for b in point.bias)
    return total


def features(loss, c, bias=None, dim=DIM):
    decay = c / (CLASSES * np.sqrt(COUNT))
    return nct.unconstrained_features(
        counts=(COUNT,) * CLASSES, dim=dim, loss=loss, weight_decay=(decay, decay), bias=bias
    )


def tags(c):
    decay = c / 6
    return nct.multi_label_features(tags=[{0}, {1}, {2}, {0, 1}, {1, 2}], dim=3, weight_decay=(decay, decay))


def deep(c):
    return nct.deep_linear(widths=(3, 3, 3, 3), counts=(2, 2, 2), loss="mse", weight_decay=(c**0.75 / 4,) * 4)


def scaled():
    return nct.losses.vector_scaling(3, class_scale=(1.0, 1.3, 0.8), offset=(0.5, 0.0, -0.2), weight=7.0)


def support(c):
    a = np.array([[0, 0.2, 0.3], [0.1, 0, 0.2], [0.4, 0.1, 0]])
    return nct.support_vector_features(counts=(2, 2, 2), dim=3, multipliers=a, weight_decay=(c, c), reduced=False)


def scalar_minimum(problem, profile):
    r"""min_a N q profile(a) + lambda sqrt(n) (K-1) a over collapsed logits with 50 digits, and where it is attained."""
    fit = mpmath.mpf(float(problem.column_weight[0])) * CLASSES * COUNT
    price = mpmath.sqrt(mpmath.fprod(mpmath.mpf(float(x)) for x in problem.weight_decay) * COUNT) * (CLASSES - 1)

    def value(a):
        return fit * profile(problem, a) + price * a

    # Golden sections to the place, Newton's method to all digits.
    low, high, ratio = mpmath.mpf(0), mpmath.mpf(60), (mpmath.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if value(left) < value(right) else (left, high)
    at = mpmath.findroot(lambda a: mpmath.diff(value, a), (low + high) / 2)
    return value(at), float(at)


def of_cross_entropy(problem, a):
    label, other = (mpmath.mpf(float(x)) for x in (problem.targets[0, 0], problem.targets[1, 0]))
    logits = [a * (1 - mpmath.mpf(1) / CLASSES)] + [-a / CLASSES] * (CLASSES - 1)
    return log_sum_exp(logits) - mpmath.fdot([label] + [other] * (CLASSES - 1), logits)


def of_focal(problem, a):
    return focal(problem.loss, [a] + [mpmath.mpf(0)] * (CLASSES - 1), [1] + [0] * (CLASSES - 1))
