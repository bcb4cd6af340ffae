"""What the adapters share: weights by layer, and results that can be compared."""

import math
from typing import Any

import numpy as np

from ._table import Arrays, Missing

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}


def suffixes(at: int, both: bool) -> list[str]:
    """Of a layer's weights in torch's names."""
    return [f"_l{at}", f"_l{at}_reverse"][: 1 + both]


def stacked(weights: Arrays) -> dict[str, Any]:
    """How many layers these are the weights of, and whether they go both ways."""
    both = "weight_ih_l0_reverse" in weights
    return {"num_layers": sum(name.startswith("weight_ih") for name in weights) // (1 + both), "bidirectional": both}


def by_layer(weights: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Of every layer the weights of each direction, by the names of a single layer."""
    found = stacked(weights)
    return [
        [{f"{name}_l0": weights[name + end] for name in WEIGHTS} for end in suffixes(at, found["bidirectional"])]
        for at in range(found["num_layers"])
    ]


def single(weights: Arrays) -> Arrays:
    """The weights, where they are one layer's in one direction: what some adapters are written for."""
    if len(weights) != 4:
        raise Missing("several layers or directions (not written for it here)")
    return weights


def under(name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """Of a model's weights those of one layer."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def dropped(x: np.ndarray, dy: np.ndarray, out: Any, p: float) -> Arrays:
    """What two libraries' dropout have in common, since their masks differ; the masks are checked here."""
    seen = (x != 0) & (dy != 0)  # where a zero tells that an element was dropped
    y, dx = out[0][seen] / x[seen], out[1][seen] / dy[seen]
    kept = y != 0
    assert (kept == (dx != 0)).all(), "forward and backward drop different elements"
    assert abs(kept.mean() - (1 - p)) < 6 * math.sqrt(p * (1 - p) / kept.size), f"kept {kept.mean()} with p={p}"
    return {"scales": np.array([f(scales[kept]) for scales in (y, dx) for f in (np.min, np.max)])}


def as_loss(out: Any) -> Arrays:
    return {"loss": np.asarray(out)}
