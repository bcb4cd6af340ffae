"""What fastdl.interop.torch costs beside fastdl alone, and beside torch: ``python bench/interop_torch.py``.

Needs torch. Everything is asserted first and timed in turn, in one process; a row tells the least and the median of the
readings, of the processor's clock on one thread, which others on the machine touch least, and of the wall's on more.
``--seconds`` is the time of a row, ``--only calls|shapes|ragged|optim`` one of the four tables.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

import fastdl as fd
from fastdl.cli._bench._works import USERS

Runs = dict[str, Callable[[], object]]
SHAPES = {name: row for name, row in USERS.items() if row[0] == "LSTM" and name != "deep-river"}
RAGGED = {  # T, B, I, H
    "tagger": (60, 32, 64, 128), "speech": (200, 16, 40, 128), "words": (30, 64, 100, 100),
    "sensors": (128, 16, 9, 32), "vowels": (29, 32, 12, 64), "amplifier": (512, 16, 1, 24),
}  # fmt: skip
OPTIMIZERS = ("RMSprop", "NAdam", "Adam", "AdamW", "SGD", "RAdam", "Adagrad", "Adadelta", "Adamax", "ASGD", "Rprop")
LISTS = {"40 of 3,000": (40, (3000,)), "1 of 120,000": (1, (120_000,)), "4 of 1,000,000": (4, (1000, 1000))}


def clock() -> float:
    return time.process_time() if fd.get_num_threads() == 1 else time.perf_counter()


def in_turn(runs: Runs, seconds: float) -> dict[str, tuple[float, float]]:
    """Least and median microseconds of a call of each."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, taken.values())) < 5:
        for name, run in runs.items():
            begin = clock()
            run()
            taken[name].append(clock() - begin)
    return {name: (min(one) * 1e6, float(np.median(one)) * 1e6) for name, one in taken.items()}


def told(name: str, found: dict[str, tuple[float, float]], base: str) -> None:
    words = [f"{key} {least:,.1f} ({median:,.1f})" for key, (least, median) in found.items()]
    ratios = [f"{key}: {found[key][0] / found[base][0]:.3f}" for key in found if key != base]
    print(f"{name:<24}", ", ".join(words), "us;", f"times {base}:", ", ".join(ratios), flush=True)


def modules(I: int, H: int, layers: int, both: bool) -> tuple[torch.nn.Module, torch.nn.Module, fd.nn.Module]:  # noqa: E741
    """torch's LSTM, the one of interop and that of fd.nn, with the same values."""
    theirs = torch.nn.LSTM(I, H, num_layers=layers, bidirectional=both)
    ours = fd.interop.torch.LSTM(I, H, num_layers=layers, bidirectional=both)
    ours.load_state_dict(theirs.state_dict())
    layer = fd.nn.LSTM(I, H, layers, bidirectional=both)
    layer.load_state_dict({name: one.numpy() for name, one in theirs.state_dict().items()})
    return theirs, ours, layer


class Nothing(torch.autograd.Function):
    """A node of a graph that computes nothing: what any layer in Python costs in torch."""

    @staticmethod
    def forward(ctx, x, *weights):
        ctx.save_for_backward(x, *weights)
        return x.clone(), x.clone(), x.clone()

    @staticmethod
    def backward(ctx, *gradients):
        return (None, *[torch.zeros_like(one) for one in ctx.saved_tensors[1:]])


def backward_of(module: torch.nn.Module, x: torch.Tensor, dy: torch.Tensor) -> Callable[[], None]:
    parameters = list(module.parameters())

    def run() -> None:
        y, _ = module(x)
        y.backward(dy)
        for one in parameters:
            one.grad = None

    return run


def lstm_runs(T: int, B: int, I: int, H: int, layers: int, both: bool) -> tuple[Runs, Runs]:  # noqa: E741
    """A forward and backward of fastdl alone, of interop and of torch; and a forward without a graph."""
    theirs, ours, layer = modules(I, H, layers, both)
    x, dy = torch.randn(T, B, I), torch.randn(T, B, H * (1 + both))
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-4, atol=1e-5)

    def alone() -> None:
        layer.forward(x.numpy(), return_state=True)
        layer.backward(dy.numpy(), input_gradient=False)

    def forward_alone() -> None:
        layer.eval()
        layer.forward(x.numpy(), return_state=True)
        layer.train()

    def forward(module: torch.nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                module(x)

        return run

    one, few = torch.zeros(1), [torch.nn.Parameter(torch.zeros(1)) for _ in ours.parameters()]

    def with_node() -> None:
        alone()
        Nothing.apply(one, *few)[0].backward(one)
        for parameter in few:
            parameter.grad = None

    training = {"fastdl": alone, "and an empty node": with_node}
    training |= {"interop": backward_of(ours, x, dy), "torch": backward_of(theirs, x, dy)}
    return training, {"fastdl": forward_alone, "interop": forward(ours), "torch": forward(theirs)}


def calls(seconds: float) -> None:
    """A layer so small that all of its time is the way to it."""
    training, evaluation = lstm_runs(*USERS["deep-river"][1:])
    told("no graph", in_turn(evaluation, seconds), "fastdl")
    told("forward and backward", in_turn(training, seconds), "fastdl")


def shapes(seconds: float) -> None:
    for name, (_, *shape) in SHAPES.items():
        for mode, runs in zip(("train", "eval"), lstm_runs(*shape), strict=True):
            told(f"{name}, {mode}", in_turn(runs, seconds), "fastdl")


def ragged(seconds: float) -> None:
    """Lengths from 1 to T, in no order: a PackedSequence, and the same by ``lengths=``."""
    for name, (T, B, I, H) in RAGGED.items():  # noqa: E741
        theirs, ours, _ = modules(I, H, 1, False)
        lengths = torch.from_numpy(np.random.default_rng(0).integers(1, T + 1, B))
        x = torch.randn(T, B, I)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        dy, dpadded = torch.randn(len(packed.data), H), torch.randn(T, B, H)

        def run(module: torch.nn.Module, packed=packed, dy=dy) -> Callable[[], torch.Tensor]:
            def once() -> torch.Tensor:
                y = module(packed)[0].data
                y.backward(dy)
                return y

            return once

        def by_lengths(ours=ours, x=x, lengths=lengths, dpadded=dpadded) -> None:
            ours(x, lengths=lengths)[0].backward(dpadded)

        runs: Runs = {"torch": run(theirs), "interop": run(ours), "lengths=": by_lengths}
        torch.testing.assert_close(runs["torch"](), runs["interop"](), rtol=1e-4, atol=1e-5)
        found = in_turn(runs, seconds)
        told(f"{name}, packed", found, "interop")


def optim(seconds: float) -> None:
    for title, (count, shape) in LISTS.items():
        for name in OPTIMIZERS:
            runs: Runs = {}
            for key, kinds, settings in (
                ("interop", fd.interop.torch.optim, {}), ("torch", torch.optim, {}),
                ("foreach", torch.optim, {"foreach": True}),
            ):  # fmt: skip
                params = [torch.nn.Parameter(torch.ones(shape)) for _ in range(count)]
                for one in params:
                    one.grad = torch.full(shape, 0.1)
                runs[key] = getattr(kinds, name)(params, lr=1e-3, **settings).step
            told(f"{name}, {title}", in_turn(runs, seconds), "interop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    tables = {"calls": calls, "shapes": shapes, "ragged": ragged, "optim": optim}
    parser.add_argument("--only", choices=tables)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    fd.set_num_threads(given.threads)
    torch.manual_seed(0)
    for name, table in tables.items():
        if given.only in (None, name):
            print(f"-- {name}")
            table(given.seconds)


if __name__ == "__main__":
    main()
