"""The losses of a column of logits: shipped ones, and the class `Loss` that one of your own derives from.

They are defined beside the problems that minimise them; this namespace gathers them.
"""

from nctheory.problems import (
    Loss,
    MarginPenalty,
    PickAllLabel,
    VectorScaling,
    focal,
    is_loss,
    label_smoothing,
    mse,
    pick_all_label,
    vector_scaling,
)

__all__ = [
    "Loss",
    "MarginPenalty",
    "PickAllLabel",
    "VectorScaling",
    "focal",
    "is_loss",
    "label_smoothing",
    "mse",
    "pick_all_label",
    "vector_scaling",
]
