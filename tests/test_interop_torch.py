"""torch's modules on fastdl's kernels: torch is the oracle, of values, gradients and behaviour."""

import contextlib
import copy
import doctest
import importlib
import io
import itertools
import pickle
import pkgutil
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ft = fd.interop.torch
rnn = torch.nn.utils.rnn

KINDS = ("LSTM", "GRU", "RNN")
GRID = [
    (kind, {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": first, **more})
    for kind in KINDS
    for layers, both, (bias, first) in itertools.product((1, 3), (False, True), ((True, False), (False, True)))
    for more in (
        [{}, {"proj_size": 2}] if kind == "LSTM" else [{}, {"nonlinearity": "relu"}] if kind == "RNN" else [{}]
    )
]
OWN = [
    ("MinGRU", {}), ("MinGRU", {"positive": True}), ("MinLSTM", {"normalized": False}), ("IndRNN", {}),
    ("sLSTM", {}), ("sLSTM", {"heads": 2, "forget_gate": "exp"}),
]  # fmt: skip


def twins(kind, dtype=torch.float64, **settings):
    """torch's module and ours, with the same values."""
    theirs = getattr(torch.nn, kind)(3, 5, dtype=dtype, **settings)
    ours = getattr(ft, kind)(3, 5, dtype=dtype, **settings)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def flat(states):
    return list(states) if isinstance(states, tuple) else [states]


def derived(module, x, hx, lengths=None, first=False):
    """Outputs, last states, and the gradients of a random function of all of them."""
    x = x.clone().requires_grad_()
    hx = None if hx is None else [one.clone().requires_grad_() for one in hx]
    given = rnn.pack_padded_sequence(x, lengths, first, enforce_sorted=False) if lengths else x
    torch.manual_seed(3)  # of dropout
    states = hx if hx is None or module.mode == "LSTM" else hx[0]
    y, last = module(given, states if hx is None or len(hx) == 1 else tuple(states))
    y = rnn.pad_packed_sequence(y, first)[0] if lengths else y
    torch.manual_seed(4)
    results = [y, *flat(last)]
    torch.autograd.backward(results, [torch.randn_like(one) for one in results])
    module_gradients = [one.grad for one in module.parameters()]
    return [*results, x.grad, *([] if hx is None else [one.grad for one in hx]), *module_gradients]


def given(settings, kind, dtype=torch.float64, sequences=4):
    shape = (sequences, 6, 3) if settings.get("batch_first") else (6, sequences, 3)
    rows = settings.get("num_layers", 1) * (1 + settings.get("bidirectional", False))
    h = torch.randn(rows, sequences, settings.get("proj_size") or 5, dtype=dtype)
    states = [h, torch.randn(rows, sequences, 5, dtype=dtype)] if kind == "LSTM" else [h]
    return torch.randn(shape, dtype=dtype), states


def assert_close(ours, theirs, tolerance=1e-11):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "settings"), GRID, ids=str)
def test_values_and_gradients_are_torchs(kind, settings):
    torch.manual_seed(0)
    settings = settings | ({"dropout": 0.4} if settings["num_layers"] > 1 else {})
    theirs, ours = twins(kind, **settings)
    x, states = given(settings, kind)
    for hx, lengths in ((None, None), (states, None), (states, [3, 6, 1, 4])):
        found = []
        for module in (ours, theirs):
            module.zero_grad()
            found.append(derived(module, x, hx, lengths, settings["batch_first"]))
        assert_close(*found)
    with torch.no_grad():
        one = x[0] if settings["batch_first"] else x[:, 0]
        hx = tuple(state[:, 0] for state in states)
        ours.eval()
        theirs.eval()
        for of in (None, hx if kind == "LSTM" else hx[0]):
            (y, last), (y2, last2) = ours(one, of), theirs(one, of)
            assert_close([y, *flat(last)], [y2, *flat(last2)])


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind):
    theirs, ours = twins(kind, torch.float32, num_layers=2, bidirectional=True)
    x, states = given({"num_layers": 2, "bidirectional": True}, kind, torch.float32)
    assert_close(derived(ours, x, states), derived(theirs, x, states), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_those_of_a_packed_batch_and_may_be_zero(kind):
    _, ours = twins(kind, num_layers=2, bidirectional=True)
    x, _ = given({}, kind)
    y, last = ours(x, lengths=torch.tensor([3, 6, 1, 4]))
    packed, last2 = ours(rnn.pack_padded_sequence(x, [3, 6, 1, 4], enforce_sorted=False))
    assert_close([y, *flat(last)], [rnn.pad_packed_sequence(packed)[0], *flat(last2)], 1e-15)
    _, last = ours(x, lengths=[3, 0, 1, 4])
    assert not flat(last)[0][:, 1].any()


@pytest.mark.parametrize(("kind", "settings"), OWN, ids=str)
def test_modules_that_torch_lacks_are_the_layers_of_nn(kind, settings):
    torch.manual_seed(0)
    module = getattr(ft, kind)(3, 4, num_layers=2, bidirectional=True, **settings)
    layer = getattr(fd.nn, kind)(3, 4, 2, bidirectional=True, **settings)
    layer.load_state_dict({name: one.numpy() for name, one in module.state_dict().items()})
    x = torch.randn(5, 3, 3, requires_grad=True)
    y, last = module(x)
    expected, state = layer.forward(x.detach().numpy(), return_state=True)
    dy = torch.randn_like(y)
    y.backward(dy)
    np.testing.assert_array_equal(y.detach(), expected)
    for one, other in zip(flat(last), state if isinstance(state, tuple) else [state], strict=True):
        np.testing.assert_array_equal(one.detach(), other)
    np.testing.assert_array_equal(x.grad, layer.backward(dy.numpy()))
    for name, parameter in layer.named_parameters():
        gradient = parameter.grad.T if parameter.transposed else parameter.grad
        np.testing.assert_array_equal(getattr(module, name).grad, gradient, err_msg=name)
    before = module.weight_ih_l0.clone()
    torch.manual_seed(0)
    module.reset_parameters()
    assert torch.equal(before, module.weight_ih_l0)  # as at the making
    assert torch.equal(copy.deepcopy(module)(x, last)[0], module(x, last)[0])


def test_a_seed_gives_torchs_first_values():
    for kind in KINDS:
        made = []
        for of in (torch.nn, ft):
            torch.manual_seed(5)
            made.append(getattr(of, kind)(3, 5, num_layers=2, bidirectional=True))
        assert_close(made[1].parameters(), made[0].parameters(), 0)
        for one in made:
            torch.manual_seed(6)
            one.reset_parameters()
        assert_close(made[1].parameters(), made[0].parameters(), 0)


def test_no_copy_is_made_of_weights_or_gradients():
    module = ft.LSTM(3, 5)
    module(torch.randn(4, 2, 3))[0].sum().backward()
    for name, one in module.named_parameters():
        assert one.grad.stride() == one.stride() == ((1, 20) if one.dim() == 2 else (1,)), name
    assert module._views[0][2].ctypes.data == module.weight_ih_l0.data_ptr()
    assert module.bias_ih_l0.grad.data_ptr() != module.bias_hh_l0.grad.data_ptr()


def test_weights_that_lie_by_rows_move_or_are_replaced():
    theirs, ours = twins("LSTM")
    x, states = given({}, "LSTM")
    expected = derived(theirs, x, states)
    for one in ours.parameters():
        one.data = one.data.contiguous()
    assert_close(derived(ours, x, states), expected)
    ours.load_state_dict({name: 2 * one for name, one in theirs.state_dict().items()}, assign=True)
    assert_close(ours(x)[0], torch.func.functional_call(ours, dict(ours.named_parameters()), (x,))[0])
    with torch.no_grad():
        for one in theirs.parameters():
            one.mul_(2)
    assert_close(ours(x)[0], theirs(x)[0])
    ours.flatten_parameters()
    assert ours.weight_ih_l0.stride() == (1, 20)
    assert_close(ours(x)[0], theirs(x)[0])
    assert ours.float().weight_hh_l0.stride() == (1, 20)


def test_copies_files_and_processes():
    module, x = ft.LSTM(3, 5, num_layers=2), torch.randn(4, 2, 3)
    expected = module(x)[0]
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    shared = copy.deepcopy(module).share_memory()
    pickled = pickle.loads(pickle.dumps(module))
    assert "_views" not in pickled.__dict__
    for one in (pickled, torch.load(file, weights_only=False), copy.deepcopy(module), shared):
        assert torch.equal(one(x)[0], expected)
    assert torch.equal(torch.nn.DataParallel(module)(x)[0], expected)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    theirs = torch.nn.LSTM(3, 5, num_layers=2)
    theirs.load_state_dict(torch.load(file))
    torch.testing.assert_close(theirs(x)[0], expected)


def test_one_module_in_many_threads():
    module, x, found = ft.GRU(3, 5, num_layers=2), torch.randn(6, 4, 3), []
    parameters = list(module.parameters())

    def work():
        for _ in range(10):
            y, _ = module(x)
            found.append([y, *torch.autograd.grad(y.square().sum(), parameters)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 40
    assert all(torch.equal(one, first) for of in found for one, first in zip(of, found[0], strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "MinGRU"])
def test_second_derivatives_are_refused_by_name(kind):
    module, x = getattr(ft, kind)(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    (first,) = torch.autograd.grad(module(x)[0].sum(), x, create_graph=True)
    (plain,) = torch.autograd.grad(module(x)[0].sum(), x)
    assert torch.equal(first, plain)
    with pytest.raises(RuntimeError, match=f"torch.{kind} has first derivatives alone"):
        first.square().sum().backward()


def test_what_torch_refuses_after_a_forward():
    module, x = ft.LSTM(3, 4), torch.randn(5, 2, 3)
    y, _ = module(x)
    y.sum().backward(retain_graph=True)
    once = module.weight_hh_l0.grad.clone()
    y.sum().backward()
    assert torch.equal(module.weight_hh_l0.grad, 2 * once)  # gathered
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
    for change in (lambda y: y.mul_(2), lambda y: module.weight_hh_l0.data.add_(0) is module.weight_hh_l0.add_(0)):
        y, _ = module(x)
        with torch.no_grad():
            change(y)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_hooks_checkpoints_and_frozen_parameters():
    module, x = ft.LSTM(3, 4, num_layers=2), torch.randn(5, 2, 3, requires_grad=True)
    (expected,) = torch.autograd.grad(module(x)[0].sum(), x)
    y = torch.utils.checkpoint.checkpoint(lambda x: module(x)[0], x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected)
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda one: one):
        y, _ = module(x)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected)
    seen = []
    module.register_forward_hook(lambda module, args, result: seen.append(result[0].shape))
    module.weight_hh_l0.requires_grad_(False)
    module.bias_ih_l1.register_hook(lambda grad: seen.append(grad.shape))
    module(x)[0].sum().backward()
    assert module.weight_hh_l0.grad is None
    assert module.weight_ih_l0.grad is not None
    assert seen == [(5, 2, 4), (16,)]
    with torch.no_grad():
        assert module(x)[0].grad_fn is None


def test_parametrizations_and_autocast():
    theirs, ours = twins("LSTM", torch.float32)
    x = torch.randn(4, 2, 3)
    for one in (theirs, ours):
        torch.nn.utils.parametrizations.weight_norm(one, "weight_hh_l0")
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    ours(x)[0].sum().backward()
    assert ours.parametrizations.weight_hh_l0.original1.grad is not None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ft.GRU(3, 4)(torch.nn.Linear(3, 3)(x))[0].dtype == torch.float32


@pytest.mark.parametrize("kind", ["LSTM", "MinGRU"])
def test_compiled_models_call_it_between_their_graphs(kind):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = getattr(ft, kind)(3, 4), torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.rnn(x)[0].relu())

    model, x = Model(), torch.randn(5, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = torch.compile(model, backend="eager")(x)
    assert torch.equal(y, model(x))
    y.sum().backward()
    assert model.rnn.weight_ih_l0.grad.any()


def test_traces_see_torchs_own_layer():
    module, x = ft.LSTM(3, 4), torch.randn(5, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, (x,))
        with pytest.raises(RuntimeError, match="MinGRU: got a trace"):
            torch.jit.trace(ft.MinGRU(3, 4), (x,))
        with pytest.raises(ValueError, match="lengths: got some while torch traces"):
            torch.jit.trace(lambda x: module(x, lengths=[2, 5])[0], (x,))
    torch.testing.assert_close(traced(2 * x)[0], module(2 * x)[0])
    gradient = torch.func.grad(lambda x: module(x)[0].sum())(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(module(leaf)[0].sum(), leaf)[0])


def test_on_the_reference():
    module, x = ft.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2), torch.randn(5, 3, 3, requires_grad=True)
    found = []
    for backend in ("compiled", "reference"):
        with fd.backend(backend):
            y, (h, c) = module(rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False))
            z, _ = module(x)
        loss = y.data.square().sum() + h.sum() + c.sum() + z.square().sum()
        found.append([y.data, h, c, z, *torch.autograd.grad(loss, [x, *module.parameters()])])
    assert_close(*found, 1e-5)


def test_empty_batches_nan_and_meta():
    module = ft.LSTM(3, 4, num_layers=2, bidirectional=True)
    y, (h, c) = module(torch.zeros(5, 0, 3))
    y.sum().backward()
    assert (y.shape, h.shape, c.shape) == ((5, 0, 8), (4, 0, 4), (4, 0, 4))
    assert not module.weight_ih_l0.grad.any()
    assert module(torch.zeros(0, 2, 3))[0].shape == (0, 2, 8)
    assert module(torch.full((2, 1, 3), torch.nan))[0].isnan().all()
    moved = ft.LSTM(3, 4, device="meta").to_empty(device="cpu")
    assert moved.weight_ih_l0.stride() == (1, 16)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (lambda x: {"input": x.double()}, TypeError, "input: got torch.float64, expected torch.float32"),
        (lambda x: {"input": x[..., :2]}, ValueError, r"got shape \(5, 3, 2\), expected \(T, B, 3\) or \(T, 3\)"),
        (lambda x: {"input": x.numpy()}, TypeError, "input: got ndarray, expected a tensor"),
        (lambda x: {"input": x.to("meta")}, ValueError, "input: got meta"),
        (lambda x: {"input": x, "hx": torch.zeros(1, 3, 4)}, ValueError, r"hx: got 1 tensors, expected \(h, c\)"),
        (lambda x: {"input": x, "hx": 2 * (torch.zeros(1, 2, 4),)}, ValueError, r"hx\[0\]: got shape \(1, 2, 4\)"),
        (lambda x: {"input": x, "lengths": [1, 2]}, ValueError, r"lengths: got shape \(2,\)"),
        (lambda x: {"input": x, "lengths": [1, 2, 9]}, ValueError, "lengths: got values from 1 to 9"),
        (lambda x: {"input": x[:, 0], "lengths": [3]}, ValueError, "lengths: got some with one sequence"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        ft.LSTM(3, 4)(**arguments(torch.zeros(5, 3, 3)))


def test_examples_of_the_docstrings():
    for module in pkgutil.walk_packages(ft.__path__, "fastdl.interop.torch."):
        with contextlib.redirect_stdout(io.StringIO()) as told:
            failed, _ = doctest.testmod(
                importlib.import_module(module.name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
            )
        assert not failed, told.getvalue()


def test_the_code_of_the_page_runs():
    page, names = Path(__file__).parents[1] / "docs" / "interop-torch.md", {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(page), "exec"), names)
    assert names["module"]
