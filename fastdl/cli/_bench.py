"""``fastdl bench``: the kernels against their references, and PyTorch where it is installed."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

import fastdl as fd

SECONDS_A_ROW = 6.0
LSTM_SHAPES = ((64, 32, 64, 256), (32, 16, 64, 64), (64, 1, 128, 128))  # T, B, I, H
HIDDEN = 256  # of the character model, as `train text` has it
Work = Callable[[], Any]


def run(arguments: argparse.Namespace) -> int:
    """Print the table, a row when it is measured."""
    if arguments.threads:
        fd.set_num_threads(arguments.threads)
    found = fd.show_config(mode="dicts") or {}
    peer = _torch()
    print(f"fastdl {found['fastdl']}, build {found['build']}, {found['threads']} threads, {found['processor']}")
    print(f"NumPy {found['NumPy']}, " + (f"PyTorch {peer.__version__}" if peer else "PyTorch is not installed"))
    print("Medians in milliseconds of runs in turn; x: how many times as long as fastdl.\n")
    print(f"{'':58}{'fastdl':>9}{'NumPy':>9}{'x':>7}{'PyTorch':>9}{'x':>7}")
    for name, work, torch_work in _rows(peer):
        contenders = [work, _on_reference(work), *([torch_work] if torch_work else [])]
        _assert_close(name, work(), contenders[1]())
        times = _medians(contenders)
        cells = "".join(f"{1e3 * other:9.3f}{other / times[0]:7.1f}" for other in times[1:])
        print(f"{name:58}{1e3 * times[0]:9.3f}{cells}")
        sys.stdout.flush()
    return 0


def _rows(peer: Any) -> Iterator[tuple[str, Work, Work | None]]:
    """Name, work by fastdl (or, under its backend, the reference), and the same by PyTorch."""
    for t, b, i, h in LSTM_SHAPES:
        name = f"LSTM forward + backward, T={t} B={b} I={i} H={h}"
        yield name, _lstm(t, b, i, h), _torch_lstm(peer, t, b, i, h) if peer else None
    yield (
        f"character model, a training step, T=64 B=32 H={HIDDEN}",
        _step(),
        _torch_step(peer) if peer else None,
    )
    yield "softmax cross-entropy + gradient, 2048 x 104", *_cross_entropy(peer)
    yield "Adam, 1,000,000 parameters", *_adam(peer)
    yield "global norm, 1,000,000 elements", *_norm(peer)
    yield "dropout p=0.5, 1,000,000 elements", *_dropout(peer)


def _medians(contenders: list[Work]) -> list[float]:
    """Median seconds of each, run in turn so that a slow moment of the machine hits all."""
    times: list[list[float]] = [[] for _ in contenders]
    for work in contenders:
        work()
    end = time.perf_counter() + SECONDS_A_ROW
    while time.perf_counter() < end or len(times[0]) < 3:
        for work, own in zip(contenders, times, strict=True):
            work()  # warm: the others have filled the caches and left their threads spinning
            started = time.perf_counter()
            work()
            own.append(time.perf_counter() - started)
    return [median(own) for own in times]


def _assert_close(name: str, found: Any, expected: Any) -> None:
    """Compare the results of the two backends: a wrong result must not be timed. Steps in place have none."""
    if isinstance(found, (tuple, list)):
        for one, other in zip(found, expected, strict=True):
            _assert_close(name, one, other)
    elif found is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4, err_msg=name)


def _on_reference(work: Work) -> Work:
    def on_reference() -> Any:
        with fd.backend("reference"):
            return work()

    return on_reference


def _normal(*shape: int) -> np.ndarray:
    return fd.random.Generator(0).normal(size=shape)


# ---- the work, by fastdl and by PyTorch -------------------------------------------------------------
def _lstm(t: int, b: int, i: int, h: int) -> Work:
    x, h0, c0, dh = _normal(t, b, i), _normal(b, h), _normal(b, h), _normal(t, b, h)
    w_x, w_h, bias = 0.1 * _normal(i, 4 * h), 0.1 * _normal(h, 4 * h), _normal(4 * h)

    def work() -> Any:
        *_, tape = fd.lstm_forward(x, h0, c0, w_x, w_h, bias)
        return fd.lstm_backward(dh, None, tape) if tape else None

    return work


def _torch_lstm(torch: Any, t: int, b: int, i: int, h: int) -> Work:
    layer = torch.nn.LSTM(i, h)
    x, dh = torch.from_numpy(_normal(t, b, i)).requires_grad_(), torch.from_numpy(_normal(t, b, h))

    def work() -> None:
        layer(x)[0].backward(dh)
        layer.zero_grad()
        x.grad = None

    return work


def _step() -> Work:
    model = fd.models.CharLM(fd.text.Vocabulary("".join(map(chr, range(32, 135)))), hidden=HIDDEN, rng=0)
    optimizer = fd.optim.Adam(model.parameters(), lr=1e-4)
    codes = fd.random.Generator(0).integers(0, 104, (65, 32))

    def work() -> None:
        _, gradient = fd.softmax_cross_entropy(model.forward(codes[:-1]), codes[1:])
        model.backward(gradient)
        fd.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return work


def _torch_step(torch: Any) -> Work:
    embedding, lstm, linear = (
        torch.nn.Embedding(104, 64),
        torch.nn.LSTM(64, HIDDEN),
        torch.nn.Linear(HIDDEN, 104),
    )
    parameters = [p for layer in (embedding, lstm, linear) for p in layer.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
    codes = torch.from_numpy(fd.random.Generator(0).integers(0, 104, (65, 32)))

    def work() -> None:
        logits = linear(lstm(embedding(codes[:-1]))[0])
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes[1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return work


def _cross_entropy(torch: Any) -> tuple[Work, Work | None]:
    logits, targets = _normal(2048, 104), fd.random.Generator(1).integers(0, 104, 2048)
    if not torch:
        return lambda: fd.softmax_cross_entropy(logits, targets), None
    inputs, classes = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(targets)

    def peer() -> None:
        torch.nn.functional.cross_entropy(inputs, classes).backward()
        inputs.grad = None

    return lambda: fd.softmax_cross_entropy(logits, targets), peer


def _adam(torch: Any) -> tuple[Work, Work | None]:
    parameter, gradient = _normal(1_000_000), _normal(1_000_000)
    optimizer = fd.optim.Adam([(parameter, gradient)])
    if not torch:
        return optimizer.step, None
    tensor = torch.from_numpy(parameter.copy()).requires_grad_()
    tensor.grad = torch.from_numpy(gradient.copy())
    return optimizer.step, torch.optim.Adam([tensor], fused=True).step


def _norm(torch: Any) -> tuple[Work, Work | None]:
    x = _normal(1_000_000)
    peer = (lambda: torch.linalg.vector_norm(torch.from_numpy(x))) if torch else None
    return lambda: fd.global_norm(x), peer


def _dropout(torch: Any) -> tuple[Work, Work | None]:
    x = _normal(1_000_000)
    peer = (lambda: torch.nn.functional.dropout(torch.from_numpy(x), 0.5)) if torch else None
    return lambda: fd.dropout_forward(x, 0.5, seed=0, stream=0, step=0), peer


def _torch() -> Any:
    """PyTorch on as many threads, or None."""
    if find_spec("torch") is None:
        return None
    torch = import_module("torch")
    torch.set_num_threads(fd.get_num_threads())
    return torch
