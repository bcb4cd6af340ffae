"""Losses against torch: value and gradients, where both have them."""

import numpy as np
import pytest
from test_losses import LENGTHS, LOSSES, RNG, TERMS, TIME, arrays_of, exact

import fastdl as fd

pytestmark = pytest.mark.peer
OTHERS = {"quantile_loss", "error_to_signal_ratio"}
CLASSES = {"nll_loss", "softmax_cross_entropy"}
CASES = [
    pytest.param(name.strip(), make, terms, options, id=f"{name}{options or ''}")
    for name, (terms, make, several) in LOSSES.items()
    for options in several
    if name not in OTHERS
]
cases = pytest.mark.parametrize(("name", "make", "terms", "options"), CASES)


def theirs(torch, name, first, second, dtype, reduction, **options):
    """torch's loss and gradients."""
    tensors = [torch.from_numpy(one.copy()).requires_grad_() for one in arrays_of(first)]
    other = None if second is None else torch.from_numpy(np.array(second))
    given = {key: value for key, value in options.items() if key != "class_weights"}
    if "class_weights" in options:
        given["weight"] = torch.tensor(options["class_weights"], dtype=tensors[0].dtype)
    if "pos_weight" in options:
        given["pos_weight"] = torch.tensor(options["pos_weight"], dtype=tensors[0].dtype)
    functions = torch.nn.functional
    if name == "gaussian_nll_loss":
        loss = functions.gaussian_nll_loss(tensors[0], other, tensors[1], reduction=reduction, **given)
    elif name == "cosine_embedding_loss":
        u, v = (one.reshape(-1, one.shape[-1]) for one in tensors)
        other = torch.ones(len(u)) if other is None else other.reshape(-1)
        loss = functions.cosine_embedding_loss(u, v, other, reduction=reduction, **given)
    elif name in CLASSES:
        function = functions.nll_loss if name == "nll_loss" else functions.cross_entropy
        flat = tensors[0].reshape(-1, tensors[0].shape[-1])
        other = other.reshape(flat.shape if other.dtype.is_floating_point else -1)
        loss = function(flat, other, reduction=reduction, **given)
    elif name == "kl_div" and reduction == "mean":  # over distributions
        loss = functions.kl_div(*tensors, other, reduction="sum", **given) / other[..., 0].numel()
    else:
        loss = getattr(functions, name)(*tensors, other, reduction=reduction, **given)
    loss.sum().backward()
    loss = loss.detach().numpy().astype(np.float64)
    if name == "kl_div" and reduction == "none":
        loss = loss.sum(-1)
    return loss, tuple(one.grad.numpy() for one in tensors)


def close(found, expected, dtype):
    for one, other in zip(exact(*found), exact(*expected), strict=True):
        eps = 64 * np.finfo(dtype).eps
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=eps, atol=eps * max(1, np.abs(other).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@cases
def test_value_and_gradient(name, make, terms, options, reduction, dtype):
    torch = pytest.importorskip("torch")
    first, second = make(dtype)
    found = getattr(fd, name)(first, second, reduction=reduction, **options)
    close(found, theirs(torch, name, first, second, dtype, reduction, **options), dtype)


@cases
def test_lengths_are_torchs_loss_of_the_rest(name, make, terms, options):
    torch = pytest.importorskip("torch")
    first, second = make(np.float64)
    real = np.arange(TIME)[:, None] < LENGTHS
    loss, gradient = getattr(fd, name)(first, second, lengths=LENGTHS, **options)
    rest = tuple(one[real] for one in arrays_of(first))
    expected, slopes = theirs(
        torch, name, rest if isinstance(first, tuple) else rest[0], None if second is None else second[real],
        np.float64, "mean", **options,
    )  # fmt: skip
    assert loss == pytest.approx(float(expected), rel=1e-12)
    for one, other in zip(arrays_of(gradient), slopes, strict=True):
        np.testing.assert_allclose(one[real], other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights(name, reduction):
    torch = pytest.importorskip("torch")
    terms, make, _ = LOSSES[name]
    first, second = make(np.float64)
    weights = RNG.uniform(0, 2, TERMS[terms])
    found = getattr(fd, name)(first, second, reduction=reduction, weights=weights)
    loss, (slopes,) = theirs(torch, name, first, second, np.float64, reduction, weight=torch.from_numpy(weights))
    if reduction == "mean" and name in ("huber_loss", "binary_cross_entropy_with_logits"):  # theirs: over all elements
        loss, slopes = loss * weights.size / weights.sum(), slopes * weights.size / weights.sum()
    close(found, (loss, slopes), np.float64)


def test_awkward_numbers():
    torch = pytest.importorskip("torch")
    values = np.array([0, -0.0, 1, -1, 1e-40, -1e-40, 1e30, -1e30, 30, -30, 100, -100], np.float32)
    first, second = (one.reshape(-1).copy() for one in np.meshgrid(values, values))
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        close(getattr(fd, name)(first / 1e15, second / 1e15, "none"),
              theirs(torch, name, first / 1e15, second / 1e15, np.float32, "none"), np.float32)  # fmt: skip
    probabilities = np.resize(np.array([0, 0.25, 1], np.float32), first.shape)
    name = "binary_cross_entropy_with_logits"
    expected = theirs(torch, name, first, probabilities, np.float32, "none")
    close(getattr(fd, name)(first, probabilities, "none"), expected, np.float32)
