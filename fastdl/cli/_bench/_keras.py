"""The works in Keras on TensorFlow, each compiled as one function; layers are batch-major, as Keras has them.

Every function is compiled by TensorFlow's graph and by XLA, and the faster of the two is kept.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import tensorflow as tf

from ._common import dropped, parts, renamed, single, under
from ._table import Arrays, Missing, Work

FORMS = (False, True)  # by XLA or not
ORDER = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "RNN": (0,)}  # where Keras' gates stand in torch's, and the reverse
RULES = {"SGD": "SGD", "Adam": "Adam", "AdamW": "AdamW", "RMSProp": "RMSprop", "AdaGrad": "Adagrad"}
LAYERS = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "RNN": keras.layers.SimpleRNN}


def set_threads(threads: int) -> str:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return "its threads are not set: TensorFlow had begun to work before"
    return ""


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    if kind not in LAYERS:
        raise Missing(kind)
    layer = _layer(kind, single(weights), zero_output_for_mask=True)
    variables = [variable.value for variable in layer.trainable_variables]
    mask = None if lengths is None else tf.constant(np.arange(len(x)) < lengths[:, None])

    def passes(x: Any, dy: Any) -> Any:
        y, dx, dW, *others = _differentiated(lambda x: layer(x, mask=mask), x, dy, variables)
        return {"y": y, "dx": dx, "dW": dW, "others": others}

    def arrays(out: Any) -> Arrays:
        y, dx, dW = (out[name].numpy() for name in ("y", "dx", "dW"))
        return {"y": _swapped(y), "dx": _swapped(dx), "dW": _gates(kind, dW).T}

    return _work(passes, (tf.constant(_swapped(x)), tf.constant(_swapped(dy))), arrays)


def training(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    """A compiled step that takes and gives the LSTM's state, after the inputs and the targets."""
    model = {name: _model_part(name, under(name, weights)) for name in parts(weights)}
    variables = [variable for layer in model.values() for variable in layer.trainable_variables]
    adam = keras.optimizers.Adam(lr, epsilon=1e-8, global_clipnorm=clip)
    adam.build(variables)

    def step(h: Any, y: Any, *state: Any) -> Any:
        with tf.GradientTape() as tape:
            for name, layer in model.items():
                if name == "lstm":
                    h, *state = layer(h, initial_state=state)
                else:
                    h = layer(h)
            loss = _cross_entropy(y, h)
        adam.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss, list(state)

    held = [tf.constant(array if "lstm" not in model else _swapped(array)) for array in (x, y)]
    if "lstm" in model:
        held += [tf.zeros((x.shape[1], weights["linear.weight"].shape[1]))] * 2
    compiled, first = _faster(step, tuple(held), [variable.value for variable in [*variables, *adam.variables]])

    def run() -> dict[str, float]:
        loss, held[2:] = compiled(*held)
        return {"loss": float(loss)}

    return Work(run, first=first)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    if name not in RULES:
        raise Missing(name)
    given = renamed(settings, eps="epsilon", beta1="beta_1", beta2="beta_2")
    given |= {"initial_accumulator_value": 0.0} if name == "AdaGrad" else {}
    rule = getattr(keras.optimizers, RULES[name])(lr, **given)
    variable = keras.Variable(param)
    rule.build([variable])

    def step(grad: Any) -> Any:
        rule.apply([grad], [variable])
        return rule.iterations.value  # something small to wait for

    kept = [one.value for one in [variable, *rule.variables]]
    return _work(step, (tf.constant(grad),), lambda _: {"param": variable.numpy()}, kept)


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    layer = keras.layers.Dropout(p, seed=0)

    def passes(x: Any, dy: Any) -> Any:
        return dict(zip(("y", "dx"), _differentiated(lambda x: layer(x, training=True), x, dy), strict=True))

    return _work(passes, (tf.constant(x), tf.constant(dy)), lambda out: dropped(x, dy, _numpy(out), p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    return _work(lambda x: {"norm": keras.ops.norm(x, order, axis)}, (tf.constant(x),))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    def passes(logits: Any, targets: Any) -> Any:
        both = _differentiated(lambda logits: _cross_entropy(targets, logits), logits)
        return dict(zip(("loss", "gradient"), both, strict=True))

    return _work(passes, (tf.constant(logits), tf.constant(targets)))


# ---- layers and functions -----------------------------------------------------------------------------------------
def _differentiated(function: Callable[..., Any], x: Any, dy: Any = None, variables: Any = ()) -> list[Any]:
    """The outputs, and the gradients with respect to x and the variables."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return [y, *tape.gradient(y, [x, *variables], dy)]


def _layer(kind: str, weights: list[np.ndarray], **options: Any) -> Any:
    """Keras' layer with torch's weights."""
    W, R, b, c = (array.T for array in weights)
    layer = LAYERS[kind](R.shape[0], return_sequences=True, **options)
    layer.build((None, None, W.shape[0]))
    biases = _gates(kind, np.stack([b, c]))
    layer.set_weights([_gates(kind, W), _gates(kind, R), biases if kind == "GRU" else biases.sum(0)])
    return layer


def _gates(kind: str, array: np.ndarray) -> np.ndarray:
    """The gates of the last axis from one library's order to the other's."""
    parts = np.split(array, len(ORDER[kind]), axis=-1)
    return np.concatenate([parts[place] for place in ORDER[kind]], axis=-1)


def _model_part(name: str, own: dict) -> Any:
    if name == "lstm":
        return _layer("LSTM", single(own), return_state=True)
    W = own["weight"] if name == "embedding" else own["weight"].T
    layer = keras.layers.Embedding(*W.shape) if name == "embedding" else keras.layers.Dense(
        W.shape[1], activation="relu" if name == "hidden" else None)  # fmt: skip
    layer.build(() if name == "embedding" else (None, W.shape[0]))
    layer.set_weights([W, own["bias"]] if "bias" in own else [W])
    return layer


def _cross_entropy(y: Any, logits: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


def _swapped(x: np.ndarray) -> np.ndarray:
    """Between time-major and batch-major."""
    return np.ascontiguousarray(np.swapaxes(x, 0, 1))


def _numpy(out: dict) -> Arrays:
    return {name: tensor.numpy() for name, tensor in out.items()}


def _work(
    function: Callable[..., Any], given: tuple, arrays: Callable[..., Arrays] = _numpy, variables: Any = ()
) -> Work:
    compiled, first = _faster(function, given, variables)

    def run() -> Any:
        out = compiled(*given)
        _wait(out)
        return out

    return Work(run, arrays=arrays, first=first)


def _faster(function: Callable[..., Any], given: tuple, variables: Any = ()) -> tuple[Callable[..., Any], float]:
    """The faster of the two compilations and the seconds of its first call; variables are put back."""
    before = [variable.numpy() for variable in variables]
    found = []
    for xla in FORMS:
        compiled = tf.function(function, jit_compile=xla)
        first = _seconds(compiled, given)
        found.append((min(_seconds(compiled, given) for _ in range(3)), compiled, first))
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    return min(found, key=lambda form: form[0])[1:]


def _seconds(function: Callable[..., Any], given: tuple) -> float:
    start = time.perf_counter()
    _wait(function(*given))
    return time.perf_counter() - start


def _wait(out: Any) -> None:
    """Until the results are there: functions on CPUs may return before."""
    for part in tf.nest.flatten(out):
        part._numpy()  # without a copy
