"""The cases that other libraries have too: problems in plain NumPy, each the arguments of one function of an adapter.

Kinds are ``recurrent``, ``training``, ``optimizer``, ``dropout``, ``norm``, ``cross_entropy``, ``ctc``, ``attention``
and ``hessian_product``. Weights have torch's names and layouts; a model is told by its layers' names, in their order:
``embedding``, ``lstm``, ``linear``, or ``hidden``, which has a ReLU, and ``output``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _fastdl
from ._common import GATES, suffixes
from ._table import DOUBLE, SINGLE, VECTORS, Case, Sizes, Work, enter, integers, normals, shapes, sizes

Problem = dict[str, Any]
TINY = {"T": 5, "B": 3, "I": 6, "H": 8, "layers": 2, "classes": 4, "embedding": 7, "n": 1003, "rows": 21, "columns": 30,
        "S": 4, "heads": 2}  # fmt: skip
MATRICES = sizes("rows columns", (17, 67), (211, 237), (4096, 4096))
CLASSES = sizes("rows classes", (11, 43), (501, 104), (1 << 14, 1024))
LAYERS = [  # T, B, I, H: T 1 to 400, B 1 to 128, I and H 16 to 512; the last is the character model's
    (1, 1, 16, 16), (1, 1, 32, 32), (1, 32, 128, 128), (32, 1, 32, 32), (128, 1, 256, 256), (400, 1, 64, 64),
    (16, 8, 32, 32), (16, 8, 64, 64), (200, 8, 64, 128), (64, 16, 64, 64), (400, 16, 32, 64), (64, 32, 128, 128),
    (20, 128, 64, 128), (100, 64, 128, 256), (64, 32, 512, 256), (64, 64, 256, 512), (32, 128, 512, 512),
    (64, 32, 64, 256),
]  # fmt: skip
DECAYS = {"betas": (0.9, 0.999), "eps": 1e-8}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {  # by title the class; settings written out, for defaults differ
    "SGD": ("SGD", {"momentum": 0.9}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "AdaGrad": ("AdaGrad", {"eps": 1e-8}),
    "RMSProp": ("RMSProp", {"rho": 0.9, "eps": 1e-8}),
    "RMSProp, centered": ("RMSProp", {"rho": 0.9, "eps": 1e-8, "centered": True}),
    "AdaDelta": ("AdaDelta", {"rho": 0.9, "eps": 1e-6}),
    "Adam": ("Adam", DECAYS),
    "AdamW": ("AdamW", DECAYS | {"weight_decay": 0.01}),
    "AMSGrad": ("AMSGrad", DECAYS),
    "NAdam": ("NAdam", DECAYS),
    "RAdam": ("RAdam", DECAYS),
    "Adamax": ("Adamax", DECAYS),
}


# Layers as programs that people use have them, and the batch they are trained on: T, B, I, H, layers, both directions.
USERS = {  # amplifier models, noise suppression, policies, forecasts, lines of text, rivers
    "AIDA-X": ("LSTM", 2048, 8, 1, 16, 1, False),
    "NAM standard": ("LSTM", 512, 16, 1, 24, 1, False),
    "NAM lite": ("LSTM", 512, 16, 1, 8, 2, False),
    "GuitarML Proteus": ("LSTM", 1024, 40, 1, 40, 1, False),
    "RNNoise": ("GRU", 200, 16, 128, 256, 3, False),
    "recurrent PPO": ("LSTM", 128, 1, 64, 256, 1, False),
    "darts": ("LSTM", 24, 32, 1, 25, 1, False),
    "neuralforecast": ("LSTM", 72, 32, 1, 128, 2, False),
    "tesseract": ("LSTM", 200, 1, 48, 96, 1, False),
    "kraken": ("LSTM", 300, 1, 400, 200, 1, True),
    "deep-river": ("LSTM", 1, 1, 4, 10, 1, False),
    "neuralhydrology": ("LSTM", 365, 32, 32, 256, 1, False),
}


def compared(name: str, kind: str, problem: Callable[..., Problem], shapes: tuple[Sizes, ...], title: str,
             sizes: dict[str, Sizes] | None = None, dtypes: tuple[np.dtype, ...] = (SINGLE,),
             calls: int = 1) -> None:  # fmt: skip
    """Enter a case that others have too, by its full name; without sizes of its own it is compared alone."""
    topic, _, rest = name.partition(".")
    function, _, variant = rest.removesuffix("]").partition("[")
    own = sizes or {"small": {key: min(max(shape[key] for shape in shapes), TINY[key]) for key in shapes[0]}}

    def build(dtype: np.dtype, **sizes: int) -> Work:
        return getattr(_fastdl, kind)(**problem(dtype, **sizes))

    enter(Case(topic, function, variant, build, own, dtypes, kind, problem, shapes, title, calls))


# ---- problems -----------------------------------------------------------------------------------------
def layers(kind: str, ragged: bool = False, bidirectional: bool = False) -> Callable[..., Problem]:
    """Forward and backward with all gradients; ragged with lengths uniform in 1 to T."""

    def problem(dtype: np.dtype, T: int, B: int, I: int, H: int, layers: int = 1, heads: int = 1) -> Problem:  # noqa: E741
        rng, width = np.random.default_rng(0), H * (1 + bidirectional)
        x, dy = (rng.uniform(-1, 1, (T, B, columns)).astype(dtype) for columns in (I, width))
        weights: dict[str, np.ndarray] = {}
        for at in range(layers):
            for suffix in suffixes(at, bidirectional):
                weights |= _cell(rng, kind, width if at else I, H, suffix)
        if kind == "sLSTM":
            weights["bias_l0"] = weights.pop("bias_ih_l0") + weights.pop("bias_hh_l0")
        if heads > 1:
            weights["weight_hh_l0"] = _uniform(rng, H, (heads, H // heads, 4 * H // heads))
        lengths = rng.integers(1, T + 1, B) if ragged else None
        if lengths is not None:
            dy *= (np.arange(T)[:, None] < lengths)[:, :, None]
        return {"kind": kind, "weights": weights, "x": x, "dy": dy, "lengths": lengths}

    return problem


def language_model(dtype: np.dtype, T: int, B: int, classes: int, H: int, embedding: int = 0, I: int = 0) -> Problem:  # noqa: E741
    """A step of training: embedding (or none, with inputs of width `I`), LSTM, linear; cross-entropy, clip 1, Adam."""
    rng = np.random.default_rng(0)
    weights = {"embedding.weight": rng.standard_normal((classes, embedding), np.float32)} if embedding else {}
    weights |= {f"lstm.{name}": array for name, array in _cell(rng, "LSTM", embedding or I, H).items()}
    weights["lstm.bias_hh_l0"][:] = 0  # not trained: Keras and thinc have one bias
    weights |= _linear(rng, "linear", H, classes)
    x = rng.integers(0, classes, (T, B)) if embedding else rng.standard_normal((T, B, I), np.float32)
    return {"weights": weights, "x": x, "y": rng.integers(0, classes, (T, B)), "lr": 1e-3, "clip": 1.0}


def classifier(dtype: np.dtype, B: int, I: int, H: int, classes: int) -> Problem:  # noqa: E741
    """A step of training: linear, ReLU, linear; cross-entropy, Adam."""
    rng = np.random.default_rng(0)
    weights = _linear(rng, "hidden", I, H) | _linear(rng, "output", H, classes)
    x, y = rng.standard_normal((B, I), np.float32), rng.integers(0, classes, B)
    y[:classes] = np.arange(classes)[:B]
    return {"weights": weights, "x": x, "y": y, "lr": 1e-3, "clip": None}


def optimizer(title: str) -> Callable[..., Problem]:
    name, settings = OPTIMIZERS[title]

    def problem(dtype: np.dtype, n: int) -> Problem:
        rng = np.random.default_rng(0)
        # No gradient near zero: libraries put eps in different places, and then it does not matter.
        grad = (rng.uniform(0.5, 1.5, n) * rng.choice([-1, 1], n)).astype(dtype)
        return {"name": name, "settings": settings, "lr": 1e-3, "param": normals(dtype, n), "grad": grad}

    return problem


def norm(order: float) -> Callable[..., Problem]:
    """Of a vector, or of the rows of a matrix."""

    def problem(dtype: np.dtype, n: int = 0, rows: int = 0, columns: int = 0) -> Problem:
        x = normals(dtype, n) if n else normals(dtype, rows, columns)
        return {"x": x, "order": order, "axis": None if n else 1}

    return problem


def dropout(p: float) -> Callable[..., Problem]:
    """Forward and backward."""
    return lambda dtype, n: {"x": normals(dtype, n), "dy": normals(dtype, n, seed=1), "p": p}


def cross_entropy(dtype: np.dtype, rows: int, classes: int) -> Problem:
    """Loss and gradient."""
    return {"logits": normals(dtype, rows, classes), "targets": integers(classes, rows)}


def ctc(dtype: np.dtype, T: int, B: int, classes: int, S: int) -> Problem:
    """Loss and gradient; sequences of T / 2 to T steps and 1 to S labels."""
    lengths = integers(T // 2 + 1, B, seed=1) + T - T // 2, integers(S, B, seed=2) + 1
    return {"logits": normals(dtype, T, B, classes), "targets": 1 + integers(classes - 1, B, S),
            "lengths": lengths[0], "target_lengths": np.minimum(lengths[1], lengths[0] // 2)}  # fmt: skip


def attention(kind: str) -> Callable[..., Problem]:
    """Forward and backward over sources of 1 to S steps, which are keys and values."""

    def problem(dtype: np.dtype, T: int, B: int, S: int, H: int) -> Problem:
        query, source, dy = (normals(dtype, steps, B, H, seed=seed) for seed, steps in enumerate((T, S, T)))
        return {"kind": kind, "query": query, "source": source, "v": normals(dtype, H, seed=3) / math.sqrt(H),
                "lengths": integers(S, B) + 1, "dy": dy}  # fmt: skip

    return problem


def hessian_product(dtype: np.dtype, T: int, B: int, H: int, layers: int, classes: int) -> Problem:
    """Loss, gradient and the Hessian times a vector: embedding, LSTM, linear; cross-entropy."""
    rng = np.random.default_rng(0)
    weights = {"embedding.weight": _uniform(rng, 1, (classes, H))}
    for at in range(layers):
        weights |= {f"lstm.{name}": array for name, array in _cell(rng, "LSTM", H, H, f"_l{at}").items()}
    weights |= _linear(rng, "linear", H, classes)
    along = {name: rng.standard_normal(array.shape, np.float32) for name, array in weights.items()}
    x, y = rng.integers(0, classes, (2, T, B))
    return {"weights": weights, "along": along, "x": x, "y": y}


def _cell(rng: np.random.Generator, kind: str, inputs: int, hidden: int, suffix: str = "_l0") -> dict[str, np.ndarray]:
    wide = GATES[kind] * hidden
    shapes = {"weight_ih": (wide, inputs), "weight_hh": (wide, hidden), "bias_ih": (wide,), "bias_hh": (wide,)}
    return {f"{name}{suffix}": _uniform(rng, hidden, shape) for name, shape in shapes.items()}


def _linear(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {
        f"{name}.weight": _uniform(rng, inputs, (outputs, inputs)),
        f"{name}.bias": _uniform(rng, inputs, (outputs,)),
    }


def _uniform(rng: np.random.Generator, width: int, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-(width**-0.5), width**-0.5, shape).astype(np.float32)


# ---- the table ------------------------------------------------------------------------------------------
for _kind in ("LSTM", "GRU", "RNN"):
    compared(f"recurrent.{_kind}", "recurrent", layers(_kind), shapes("T B I H", *LAYERS), _kind)
_shapes = shapes("T B I H heads", (64, 16, 64, 64, 1), (64, 32, 128, 128, 4), (100, 64, 128, 256, 4))
compared("recurrent.sLSTM", "recurrent", layers("sLSTM"), _shapes, "sLSTM")
compared("recurrent.LSTM[ragged]", "recurrent", layers("LSTM", ragged=True), shapes("T B I H", (400, 32, 64, 128)),
         "ragged LSTM")  # fmt: skip
for _name, (_kind, *_user, _both) in USERS.items():
    (_large,) = shapes("T B I H layers", tuple(_user))
    _medium = _large | {"T": min(_large["T"], 16)}
    _small = {key: min(size, most) for (key, size), most in zip(_large.items(), (3, 3, 5, 7, 3), strict=True)}
    compared(f"recurrent.{_kind}[{_name}]", "recurrent", layers(_kind, bidirectional=_both), (_large,),
             f"{_name}, {_kind}", {"small": _small, "medium": _medium, "large": _large})  # fmt: skip
_character = {"T": 64, "B": 32, "classes": 96, "embedding": 64, "H": 256}
compared("training.language_model[characters]", "training", language_model, (_character,),
         "character model, a step", calls=3)  # fmt: skip
compared("training.language_model[tiny]", "training", language_model,
         shapes("T B classes I H", (1, 1, 32, 32, 32)), "tiny model, a step", calls=3)  # fmt: skip
compared("training.classifier", "training", classifier,
         shapes("B I H classes", (128, 784, 256, 10), (200, 784, 300, 10), (200, 64, 256, 10)),
         "dense classifier, a step", calls=3)  # fmt: skip
for _name in OPTIMIZERS:
    _few = ((16,), (1000,), (10_000,)) if _name == "Adam" else ()  # what a call costs beside its arithmetic
    compared(f"training.{_name}", "optimizer", optimizer(_name), shapes("n", *_few, (1_000_000,), (1 << 24,)),
             f"{_name}, a step", calls=3)  # fmt: skip
for _p in (0.5, 0.1, 0.9):
    compared("training.dropout" + (f"[p={_p}]" if _p != 0.5 else ""), "dropout", dropout(_p),
             shapes("n", (1 << 14,), (1_000_000,), (1 << 24,)), f"dropout p={_p}")  # fmt: skip
for _order in (1, 2, 3, math.inf, 0, 2.5, 4, 9, 0.5, -1, -math.inf):
    _often, _title = _order in (1, 2, 3, math.inf), f"norm of order {_order:g}"
    _shapes = shapes("n", (1_000_000,), *[(1 << 24,)] * _often)
    compared(f"norms.norm[ord={_order}]", "norm", norm(_order), _shapes, _title, VECTORS, (SINGLE, DOUBLE))
    if _often:
        compared(f"norms.norm[ord={_order},axis=1]", "norm", norm(_order), (MATRICES["large"],), f"{_title} of rows",
                 MATRICES, (SINGLE, DOUBLE))  # fmt: skip
compared("dense.softmax_cross_entropy", "cross_entropy", cross_entropy, shapes("rows classes", (2048, 104), (32, 96)),
         "softmax cross-entropy", CLASSES, (SINGLE, DOUBLE))  # fmt: skip
compared("sequence.CTC", "ctc", ctc, shapes("T B classes S", (100, 16, 30, 20), (50, 1, 30, 10), (400, 32, 64, 60),
         (200, 64, 1000, 40)), "CTC")  # fmt: skip
for _kind in ("dot", "additive"):
    compared(f"sequence.attention[{_kind}]", "attention", attention(_kind),
             shapes("T B S H", (12, 32, 30, 128), (1, 32, 30, 128), (50, 32, 50, 256)),
             f"attention, {_kind}")  # fmt: skip
compared("curvature.product", "hessian_product", hessian_product,
         shapes("T B H layers classes", (16, 8, 64, 1, 32), (64, 16, 64, 1, 32), (32, 16, 64, 2, 32),
                (32, 32, 128, 1, 32), (64, 16, 128, 2, 32), (50, 32, 256, 1, 32)), "Hessian product")  # fmt: skip

TOUR = (  # of `fastdl bench`: the case, and which of its shapes
    ("recurrent.LSTM", shapes("T B I H", (64, 32, 64, 256), (16, 8, 64, 64), (128, 1, 256, 256))),
    ("training.language_model[characters]", (_character,)),
    ("training.classifier", shapes("B I H classes", (200, 64, 256, 10))),
    ("dense.softmax_cross_entropy", shapes("rows classes", (2048, 104))),
    ("training.Adam", ({"n": 1_000_000},)),
    ("norms.norm[ord=2]", ({"n": 1_000_000},)),
    ("training.dropout", ({"n": 1_000_000},)),
)
