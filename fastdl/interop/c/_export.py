"""Models to C headers."""

import os
import re
from typing import Any

from ... import nn
from ..._files import replacing, try_replacing
from ..._validate import shown
from ..._validate import text as checked_text
from ..._version import __version__
from ._layers import written
from ._source import Source

_TEMPLATE = """\
/* A model of fastdl @VERSION@ as one C99 header, which C++ reads too. It allocates nothing and needs <math.h> alone.

   P_state s;                        one sequence's state, @BYTES@
   P_reset(&s);                      to the beginning of a sequence
   P_step(&s, x, y);                 one time step: @INPUTS@ in, @OUTPUTS@ float out
   P_run(&s, x, y, steps);           many: x has P_INPUTS a step, y @EACH@

   Each state is of one thread at a time. */
#ifndef G_H
#define G_H

#include <math.h>

#define G_INPUTS @COUNT@
#define G_OUTPUTS @OUTPUTS@
#ifdef __cplusplus
#define P_restrict
#else
#define P_restrict restrict
#endif

typedef struct {
    @FIELDS@
} P_state;

@ARRAYS@

@FUNCTIONS@

static inline void P_reset(P_state *s)
{
    @RESETS@
}

static inline void P_step(P_state *s, const @TYPE@ *x, float *y)
{
    int j;
    @LINES@
}

static inline void P_run(P_state *s, const @TYPE@ *x, float *y, long steps)
{
    long t;
    for (t = 0; t < steps; t++)
        P_step(s, x + t * G_INPUTS, @PLACE@);
}

#undef P_restrict
#endif
"""


def export(model: nn.Module, path: str | os.PathLike[str], *, prefix: str = "model") -> None:
    """Write a model, as it is in evaluation mode, to a self-contained C99 header (docs/interop-c.md).

    Parameters
    ----------
    model : Module
        A layer, a chain of layers, or one of CharLM, Classifier, Forecaster, SequenceClassifier and Tagger: whatever
        goes step by step. Weights are rounded to float32.
    path : str or path-like
        The file; what was there is replaced in one step.
    prefix : str, default "model"
        What all names of the file begin with, so that a program may have several models.

    Raises
    ------
    TypeError, ValueError
        If the model holds a module that is not written to C or reads the future, with its name, a weight is not
        finite, or the prefix is no identifier of C; no file is written then.
    OSError
        If the file cannot be written; what was there is as it was.

    Notes
    -----
    The header has ``PREFIX_state``, ``PREFIX_reset``, ``PREFIX_step`` and ``PREFIX_run``, and the macros
    ``PREFIX_INPUTS`` and ``PREFIX_OUTPUTS``. An embedding reads ints, and gives NAN for one that it has not. With
    ``output="last"`` ``PREFIX_run`` writes the last step's output alone.

    Examples
    --------
    >>> import pathlib, tempfile, fastdl as fd
    >>> model = fd.nn.Sequential(fd.nn.LSTM(1, 16, rng=0), fd.nn.Linear(16, 1, rng=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "amplifier.h")
    ...     fd.interop.c.export(model, path, prefix="amplifier")
    ...     text = path.read_text()
    >>> "static inline void amplifier_step(amplifier_state *s, const float *x, float *y)" in text
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a layer or model")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", checked_text("prefix", prefix), re.ASCII):
        raise ValueError(f"prefix: got {shown(prefix)}, expected an identifier of C, of letters, digits and _")
    code = _written(model, prefix)
    try_replacing(path)
    with replacing(path) as file:
        file.write(code.encode("ascii"))


def _written(model: nn.Module, prefix: str) -> str:
    source, count = Source(), _inputs(model)
    name, size = written(source, model, ("x", count), "model")
    source.lines += [f"for (j = 0; j < {size}; j++)\n    y[j] = {name}[j];", *([] if source.fields else ["(void)s;"])]
    resets = ["int i;", *source.resets] if any("[i]" in one for one in source.resets) else source.resets
    last = any(getattr(layer, "output", "") == "last" for layer in model.modules())
    floats = sum(int(size) for size in re.findall(r"float \w+\[(\d+)\];", "\n".join(source.fields)))
    parts = {
        "VERSION": __version__, "BYTES": f"{4 * floats} bytes of float", "OUTPUTS": size,
        "COUNT": count or 1,
        "INPUTS": f"{count or 1} {'float' if count else 'int'}",
        "EACH": "the last step's alone" if last else "P_OUTPUTS",
        "FIELDS": _lines(source.fields or ["char unused;"]), "ARRAYS": "\n\n".join(source.arrays),
        "FUNCTIONS": "\n\n".join([*source.helpers(), *source.functions]), "RESETS": _lines(resets or ["(void)s;"]),
        "TYPE": "float" if count else "int", "LINES": _lines(source.lines),
        "PLACE": "y" if last else "y + t * G_OUTPUTS",
    }  # fmt: skip
    text = re.sub(r"@(\w+)@", lambda found: str(parts[found[1]]), _TEMPLATE)
    text = re.sub(r"\bP_(INPUTS|OUTPUTS)\b", r"G_\1", text)
    return re.sub(r"\b([PG])_(?=\w)", lambda found: f"{prefix if found[1] == 'P' else prefix.upper()}_", text)


def _lines(parts: list[str]) -> str:
    """As lines of a block, which is indented by four."""
    return "\n".join(parts).replace("\n", "\n    ")


def _inputs(model: nn.Module) -> int:
    """How many numbers the first layer that says so takes; 0 for a word's number."""
    names: tuple[Any, ...] = ("input_size", "in_features", "in_channels", "num_features")
    for layer in model.modules():
        if isinstance(layer, nn.Embedding):
            return 0
        if isinstance(layer, nn.LayerNorm):
            return layer.normalized_shape[0]
        found = [getattr(layer, name) for name in names if isinstance(getattr(layer, name, None), int)]
        if found:
            return int(found[0])
    raise ValueError("model: got no layer that says how many numbers it takes, expected at least one")
