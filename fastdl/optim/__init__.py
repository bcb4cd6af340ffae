"""Optimizers: update rules as functions and as classes, each one pass over memory (MATH 3).

An optimizer takes what `model.parameters()` returns, or a list of (parameter, gradient) arrays, and changes the
parameters in place. Every rule has a function, `<rule>_update`, that works on plain arrays.
"""

from .adam import Adam, AdamW, adam_update
from .clip import clip_grad_norm_
from .sgd import SGD, sgd_update

__all__ = ["SGD", "Adam", "AdamW", "adam_update", "clip_grad_norm_", "sgd_update"]
