"""Why a row falls short: what is known about it, for the list that the report makes from the measurements.

The first reason that fits a row is given. A row that none fits is listed with "no reason given": either something
is to be made faster, or a reason is to be written here.
"""

import math
from fnmatch import fnmatchcase
from typing import NamedTuple

from records import Record

from .sweeps import MARGIN, Growth

NONE_GIVEN = "no reason given"


class Reason(NamedTuple):
    """A text, and the rows it is true of: those that fit every pattern (of the shell) that is named."""

    text: str
    what: tuple[str, ...] = ("*",)  # the case, or the work compared with a peer
    build: str = "*"
    limit: str = "*"  # copy, read or multiply_adds
    size: str = "*"  # medium or large
    shape: str = "*"  # of a row against a peer, as "T 64, B 16"
    dtype: str = "*"
    peer: str = "*"
    shorter: float = math.inf  # seconds fastdl takes: for what is true of short calls alone
    ratio: float = 0.0  # of the peer's time, at least: for what explains a draw, but no defeat

    def fits(self, what: str, row: Record) -> bool:
        named = {name: getattr(self, name) for name in ("build", "limit", "size", "shape", "dtype", "peer")}
        return (
            any(fnmatchcase(what, pattern) for pattern in self.what)
            and all(fnmatchcase(str(row.get(name, "")), pattern) for name, pattern in named.items())
            and row.get("seconds", math.inf) <= self.shorter
            and row.get("ratio", math.inf) >= self.ratio
        )


# "[[]" is how a pattern writes a bracket. What a reason says must follow from how the kernel works, or have been shown.
OF_LIMIT = (
    Reason("products too small to fill the tile; the gates' exponentials; with several threads a barrier a step",
           ("recurrent.*",), limit="multiply_adds", size="medium"),
    Reason("the gates' exponentials and what a step copies for the product are no multiply-adds",
           ("recurrent.*",), limit="multiply_adds"),
    Reason("several passes with Python between them; exponentials and their derivatives are no multiply-adds",
           ("curvature.*",)),
    Reason("a tanh for each query, source and unit is no multiply-add", ("sequence.additive_*",)),
    Reason("the softmax's exponentials are no multiply-adds", ("sequence.dot_*",)),
    Reason("each time step needs the one before, in logarithms and double", ("sequence.ctc_loss",)),
    Reason("an exponential an element is more work than moving it", ("dense.tanh", "dense.sigmoid",
            "dense.softmax*", "dense.log_softmax*", "dense.gelu*", "dense.silu*", "dense.elu*", "dense.softplus*",
            "dense.binary_cross_entropy_*")),
    Reason("NumPy does it, in a pass for each operation",
           ("dense.poisson_*", "dense.gaussian_nll_*", "dense.kl_div", "dense.nll_loss", "dense.cosine_*",
            "dense.error_*")),
    Reason("a plain store first reads the line it is to write, which a copy's streaming store does not",
           ("dense.relu*", "dense.leaky_relu*", "dense.hardtanh*", "dense.sigmoid_backward", "dense.tanh_backward",
            "dense.mse_loss*", "dense.l1_loss", "dense.smooth_l1_loss", "dense.huber_loss", "dense.quantile_loss"),
           limit="copy"),
    Reason("the tile's share of the peak: torch.mm (oneDNN, MKL) reaches 45 to 59 % of it on such products",
           ("dense.linear_*",), build="avx512", limit="multiply_adds"),
    Reason("rows lie scattered in the table", ("dense.embedding_*", "dropout.embedding_*", "optim.*_rows")),
    Reason("normals from random words: a logarithm, a root and a cosine each",
           ("dropout.gaussian_*", "random.words_to_normal")),
    Reason("ten rounds of Philox for four random words are more work than moving them",
           ("dropout.*", "random.random_words")),
    Reason("a power an element is more work than reading it",
           tuple(f"norms.*[[]{order}*" for order in ("ord=2.5", "ord=0.5", "ord=100.5", "ord=-1"))),
    Reason("the threshold is searched in several passes, of which the limit counts one",
           ("norms.project_ball[[]ord=1*", "norms.prox_norm[[]ord=inf*")),
    Reason(
        "two passes, of which the limit counts one: the norm must be known before the first element is written",
        (
            *(f"norms.{name}*" for name in ("norm_gradient", "normalize", "clip_by_", "max_norm_", "unit_norm_")),
            *(f"norms.{name}*" for name in ("add_group_lasso_", "prox_norm[[]ord=2", "project_ball[[]ord=2")),
        ),
    ),
    Reason(
        "a root and a division an element, few at a time on this build",
        tuple(f"optim.{name}*" for name in ("ada", "amsgrad", "nadam", "radam", "rmsprop")),
        build="baseline",
    ),
)  # fmt: skip
OF_PEER = (
    Reason("its matrix products take nearly all of it, and torch.mm is no faster (bench_ways.py -k products)",
           ("LSTM", "RNN"), shape="*H 512", ratio=0.8),
    Reason("the call itself: Python checks the arguments, makes the results and the tape; JAX compiles all of the call",
           ("LSTM", "GRU", "RNN", "deep-river*", "tiny model*"), shape="T 1, B 1,*", shorter=1e-4),
    Reason("the call itself: Python checks the arguments and makes the results", shorter=30e-6),
    Reason("at its limit: both move the same bytes at the speed of memory", ("*, a step", "norm of *"),
           shape="n 16,777,216", ratio=0.9),
)  # fmt: skip


def of_limit(row: Record) -> str | None:
    """Why a case stays below the machine's limit, if that is known."""
    return next((reason.text for reason in OF_LIMIT if reason.fits(row["case"], row)), None)


def of_peer(row: Record) -> str | None:
    """Why a peer is as fast or faster, if that is known."""
    return next((reason.text for reason in OF_PEER if reason.fits(row["work"], row)), None)


def of_sweep(axis: str, found: Growth) -> str:
    """Why the cost is linear in a part of the range alone, as the slopes at its ends tell."""
    texts = []
    if found.first < 1 - MARGIN:
        texts.append("small: " + SMALL[axis])
    if abs(found.last - 1) > MARGIN:
        texts.append("large: " + (LARGE_STEEPER if found.last > 1 else LARGE_FLATTER)[axis])
    return "; ".join(texts) or f"**{NONE_GIVEN}**"


SMALL = {
    "T": "the call, packing the weights and the gradients of the weights cost the same for any T",
    "B": "a step reads all weights, however few rows there are",
    "H": "the call and the steps cost more than their arithmetic",
    "N": "the call costs the same for any N",
}
LARGE_STEEPER = {
    "T": "the tape outgrows a cache",
    "B": "the tape outgrows a cache",
    "H": "the products with W_h grow with H squared",
    "N": "the arrays outgrow a cache, and their pages are new to the process",
}
LARGE_FLATTER = {
    "T": "what the small end costs is still seen",
    "B": "more rows fill the tile of the product better",
    "H": "larger products run nearer the peak",
    "N": "what the small end costs is still seen",
}
