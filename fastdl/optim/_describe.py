"""Docstrings of the rules: what a function says of its own, completed by what all say; and the class's, made of it."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
_ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)
_SEE = "    See :class:`fastdl.optim.Optimizer`.\n"
_SHARED = ("weight_decay", "decoupled_weight_decay", "l1", "maximize", "grad_scale")
_REFUSED = "TypeError, ValueError\n    For arrays or numbers that do not fit; nothing was written then.\n"
_ARRAYS = """
param : ndarray, any shape, float32 or float64
    Overwritten.
grad : ndarray, the shape and dtype of `param`
"""
_ROWS = """
param : ndarray, shape (N, D), float32 or float64
    The table; only the rows named are read and overwritten.
rows : ndarray of int, shape (K,)
    Row numbers from 0 to N - 1; the values of a row named twice are added up first (:func:`sum_rows`).
values : ndarray, shape (K, D)
    The gradients of these rows.
"""
_OPTIMIZER = """
parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
    See :class:`Optimizer`.
"""
_ALL_TAKE = """
groups, clip_norm, clip_order, nonfinite, accumulate, lazy
    As of :class:`Optimizer`, by keyword.
"""

Entries = dict[tuple[str, ...], str]  # names, and the lines that tell of them


def _sections(text: str | None) -> dict[str, str]:
    """A docstring by section; what stands before the first is "Summary"."""
    parts = _SECTION.split(inspect.cleandoc(text or "") + "\n")
    return {name: body.strip("\n") + "\n" for name, body in zip(["Summary", *parts[1::2]], parts[::2], strict=True)}


def _entries(text: str) -> Entries:
    """The entries of a section that lists, by their names."""
    found = [part for part in _ENTRY.split(text) if part.strip()]
    return {_names(part): part.rstrip("\n") + "\n" for part in found}


def _names(entry: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in entry.splitlines()[0].split(" : ")[0].split(","))


def _standard(signature: inspect.Signature, variants: Sequence[str]) -> Entries:
    """What is said of arguments of which a function says nothing itself."""
    known = signature.parameters
    step = ", default 1\n    Number of this step; the formula does not use it.\n"
    if known["step"].default is inspect.Parameter.empty:
        step = "\n    Number of this step, from 1.\n"
    choices = ", ".join(f'"{one}"' for one in variants)
    return {
        ("step",): f"step : int{step}",
        ("lr",): f"lr : float, default {known['lr'].default!r}\n",
        _SHARED: f"{', '.join(_SHARED)}\n{_SEE}",
        ("variant",): f'variant : {{{choices}}}, default "torch"\n    One formula everywhere.\n',
    }


def _in_order(names: Sequence[str], own: Entries, standard: Entries) -> str:
    """The entries of these names, each once, the function's own first."""
    told = {name: entry for entries in (standard, own) for some, entry in entries.items() for name in some}
    return "".join(dict.fromkeys(told[name] for name in names if name in told))


def _written(sections: Mapping[str, str]) -> str:
    parts = [f"{name}\n{'-' * len(name)}\n{body}" for name, body in sections.items() if name != "Summary" and body]
    return "\n".join([sections["Summary"], *parts])


def describe_function(
    text: str | None, signature: inspect.Signature, variants: Sequence[str], dense: str | None = None
) -> str:
    """The docstring of an update function; of one that updates rows, `dense` is the function that updates all."""
    found = _sections(text)
    own = _entries(found.pop("Parameters", ""))
    standard = _standard(signature, variants) | _entries(_ROWS if dense else _ARRAYS)
    if dense:
        standard[_SHARED] += "    They act on the rows named.\n"
        del standard["variant",]
        told = {name for entries in (own, standard) for names in entries for name in names}
        rest = tuple(name for name in signature.parameters if name not in told)
        standard[rest] = f"{', '.join(rest)}\n    See :func:`{dense}`.\n"
    parameters = _in_order(list(signature.parameters), own, standard)
    summary = found.pop("Summary")
    return _written({"Summary": summary, "Parameters": parameters, "Raises": _REFUSED, **found})


def describe_class(
    text: str | None, function: str | None, settings: Sequence[str], defaults: Mapping[str, Any], by_rows: bool
) -> str:
    """The docstring of a rule's class, from its own, its function's, its settings and its other defaults."""
    own, of_function = _sections(text), _sections(function)
    told = _entries(of_function.get("Parameters", ""))
    shared = tuple(name for name in _SHARED if name in settings and name not in defaults)
    told = {names: entry for names, entry in told.items() if names != _SHARED}
    told[shared] = f"{', '.join(shared)}\n{_SEE}"
    others: Entries = {
        (name,): f"{name} : {type(value).__name__}, default {value!r}\n{_SEE}" for name, value in defaults.items()
    }
    parameters = _OPTIMIZER.lstrip() + _in_order(settings, others, told) + own.pop("Parameters", "")
    refused = "TypeError, ValueError\n    As :class:`Optimizer`"
    refused += ".\n" if by_rows else "; and for ``lazy=True``, since there is no rule for rows.\n"
    sections = {"Summary": own.pop("Summary"), "Parameters": parameters + _ALL_TAKE.lstrip()}
    notes = {"Notes": of_function["Notes"]} if "Notes" in of_function else {}
    return _written({**sections, "Raises": refused, **notes, **own})


def class_signature(kind: Any, base: inspect.Signature, settings: Mapping[str, Any]) -> inspect.Signature:
    """That of a class's constructor, with the rule's settings for ``**settings``; `base` is that of all classes."""
    own = inspect.signature(kind.__init__).parameters
    if "settings" not in own:
        return inspect.Signature(list(own.values())[1:])
    known = inspect.signature(kind.update).parameters
    taken = {name: known[name].replace(default=settings[name]) for name in settings}
    taken["lr"] = own["lr"].replace(default=settings["lr"])
    first = {name: own[name] for name in ("parameters", "lr")}
    rest = {**base.parameters, **own}
    arguments = first | taken | {name: one for name, one in rest.items() if name not in ("self", "settings", *first)}
    return inspect.Signature(list(arguments.values()))
