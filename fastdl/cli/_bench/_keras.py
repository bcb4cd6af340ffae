"""The tour's work by Keras on TensorFlow, as compiled graphs."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import tensorflow as tf

DISTRIBUTION = "keras"
Work = Callable[[], Any]


def set_threads(threads: int) -> str:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return "its threads are not set: TensorFlow had begun to work before"
    return ""


def lstm(x: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray, dh: np.ndarray) -> Work:
    layer = keras.layers.LSTM(W_h.shape[0], return_sequences=True)
    inputs, slope = (tf.constant(np.ascontiguousarray(one.swapaxes(0, 1))) for one in (x, dh))
    layer.build(inputs.shape)
    layer.set_weights([W_x, W_h, b])

    @tf.function
    def passes(inputs: Any, slope: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            h = layer(inputs)
        return tape.gradient(h, [inputs, *layer.trainable_variables], slope)

    return lambda: passes(inputs, slope)[0].numpy().swapaxes(0, 1)


def character_step(codes: np.ndarray, characters: int, hidden: int) -> Work:
    layers = [keras.layers.Embedding(characters, 64), keras.layers.LSTM(hidden, return_sequences=True)]
    return _step([*layers, keras.layers.Dense(characters)], codes[:-1].T, codes[1:].T, clip=1.0)


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Work:
    return _step([keras.layers.Dense(hidden, "relu"), keras.layers.Dense(classes)], x, y, clip=None)


def _step(layers: list[Any], x: np.ndarray, y: np.ndarray, clip: float | None) -> Work:
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-4, global_clipnorm=clip), loss=loss)
    inputs, targets = tf.constant(np.ascontiguousarray(x)), tf.constant(np.ascontiguousarray(y))

    def work() -> None:
        model.train_on_batch(inputs, targets)

    return work


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    inputs, classes = tf.constant(logits), tf.constant(targets)

    @tf.function
    def gradient(inputs: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, inputs)
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, inputs)

    return lambda: gradient(inputs, classes).numpy()


def adam(param: np.ndarray, gradient: np.ndarray) -> Work:
    variable, slope = keras.Variable(param), tf.constant(gradient)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build([variable])
    step = tf.function(lambda slope: optimizer.apply([slope], [variable]))

    def work() -> None:
        step(slope)

    return work


def norm(x: np.ndarray) -> Work:
    tensor, whole = tf.constant(x), tf.function(tf.norm)
    return lambda: whole(tensor).numpy()


def dropout(x: np.ndarray) -> Work:
    tensor, drop = tf.constant(x), tf.function(lambda x: tf.nn.dropout(x, 0.5))

    def work() -> None:
        drop(tensor).numpy()

    return work
