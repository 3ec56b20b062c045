"""Wrong versions of the theorems on ridge paths."""

import numpy as np

from proofs_numeric.imbalanced.paths import EXPONENTS, LAST, expansion, fixed_point, path_data, predict_path


def with_limit(rule):
    """State the theorem with another limit direction: `rule` of (counts, class scale, label scale, offset)."""

    def wrong(problem):
        right, data = predict_path(problem), [np.asarray(x) for x in path_data(problem)]
        away = np.asarray(rule(*data)) - expansion(*data, terms=2)[0]
        logs = np.log(10.0) * np.asarray(EXPONENTS[-LAST:], dtype=float)
        return right._replace(after_limit=right.after_limit + logs[:, None, None] * away)

    return wrong


def with_second_term(rule):
    """State the theorem with another second term: `rule` of the right one, counts, class scale, label scale and offset."""

    def wrong(problem):
        right, data = predict_path(problem), [np.asarray(x) for x in path_data(problem)]
        first = expansion(*data, terms=2)[1]
        return right._replace(after_limit=right.after_limit + rule(first, *data) - first)

    return wrong


def with_logits(**changes):
    """State the theorem with other logits: without the probability of the right class (`hard`), or another offset."""

    def wrong(problem):
        counts, class_scale, label_scale, offset = (np.asarray(x) for x in path_data(problem))
        data = (counts, class_scale, label_scale, changes.get("turn", 1.0) * offset)
        found = [fixed_point(e, *data, hard=changes.get("hard", False)) for e in EXPONENTS]
        return predict_path(problem)._replace(logits=np.stack(found))

    return wrong


def power_law(power):
    """State the theorem with distances that fall as lambda^power from the first on."""

    def wrong(problem):
        right = predict_path(problem)
        return right._replace(distance=right.distance[0] * 10.0 ** (-power * (np.asarray(EXPONENTS) - EXPONENTS[0])))

    return wrong


def first_order(problem):
    """Predict a distance that is no more than its first-order term."""
    right = predict_path(problem)
    return right._replace(distance=right.first_order)
