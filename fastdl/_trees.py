"""Nested state as JSON text and arrays, and back: what a checkpoint is made of.

Dicts, lists, tuples, strings, numbers, bools and None go to JSON; arrays are replaced by their names. Floats
survive exactly (JSON's shortest decimal form reads back to the same double).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def flatten(tree: Any, prefix: str, arrays: dict[str, np.ndarray]) -> Any:
    """Move the arrays of `tree` into `arrays`, named by their path from `prefix`; return the rest."""
    if isinstance(tree, np.ndarray):
        arrays[prefix] = tree
        return {"array": prefix}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, Mapping):
        if all(isinstance(key, str) for key in tree):
            kind = "dict"
        elif all(isinstance(key, int) for key in tree):
            kind = "ints"
        else:
            raise TypeError(f"{prefix}: got keys {list(tree)}, expected all strings or all ints")
        return {kind: {str(key): flatten(value, f"{prefix}.{key}", arrays) for key, value in tree.items()}}
    if isinstance(tree, (list, tuple)):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [flatten(value, f"{prefix}.{index}", arrays) for index, value in enumerate(tree)]}
    raise TypeError(f"{prefix}: got {type(tree).__name__}, expected arrays, numbers, strings and containers")


def restore(plan: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Undo :func:`flatten`.

    Raises
    ------
    ValueError
        If the plan is not one that :func:`flatten` makes, or names an array that is missing.
    """
    if not isinstance(plan, dict):
        if isinstance(plan, list):
            raise ValueError("damaged: a bare list in the stored state")
        return plan
    if len(plan) != 1:
        raise ValueError(f"damaged: stored state with the keys {sorted(plan)}")
    ((kind, content),) = plan.items()
    if kind == "array" and isinstance(content, str):
        if content not in arrays:
            raise ValueError(f"damaged: the array {content!r} is missing")
        array = arrays[content]
        return np.array(array, dtype=array.dtype.newbyteorder("="))
    if kind in ("dict", "ints") and isinstance(content, dict):
        items = {key: restore(value, arrays) for key, value in content.items()}
        return items if kind == "dict" else {int(key): value for key, value in items.items()}
    if kind in ("list", "tuple") and isinstance(content, list):
        values = [restore(value, arrays) for value in content]
        return tuple(values) if kind == "tuple" else values
    raise ValueError(f"damaged: stored state of the unknown kind {kind!r}")
