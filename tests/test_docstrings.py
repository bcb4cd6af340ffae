"""Every public name has a complete docstring: the sections of numpydoc, true to its signature."""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
import textwrap
import types

import numpy as np
import pytest

import fastdl

MODULES = [
    "fastdl",
    "fastdl.dense",
    "fastdl.dropout",
    "fastdl.norms",
    "fastdl.recurrent",
    "fastdl.sequence",
    "fastdl.random",
    "fastdl.nn",
    "fastdl.nn.init",
    "fastdl.optim",
    "fastdl.optim.schedules",
    "fastdl.models",
    "fastdl.estimators",
    "fastdl.interop.audio",
    "fastdl.interop.c",
    "fastdl.interop.keras",
    "fastdl.interop.onnx",
    "fastdl.training",
    "fastdl.metrics",
    "fastdl.saving",
    "fastdl.plots",
    "fastdl.curvature",
    "fastdl.text",
    "fastdl.datasets",
    "fastdl.cli",
]
HAS_TORCH = importlib.util.find_spec("torch") is not None
MODULES += ["fastdl.interop.torch", "fastdl.interop.torch.optim"] * HAS_TORCH
SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "Notes", "References", "See Also",
            "Examples")  # fmt: skip
FORMULAS = ("dense", "dropout", "norms", "optim", "recurrent", "sequence", "nn", "curvature", "metrics")
# What says where an equation is from: its number in docs/*.md, the page, or a paper's year.
SOURCE = re.compile(r"\(\d+\.\d+[a-z]?\b|\b\d\.\d+\)|docs/\w+\.md|\b(19|20)\d\d\b")
REFERS = re.compile(r"\b(As|See|see) |^:(func|class|meth):")


# ---- what a docstring says --------------------------------------------------------------------------------------


def sections(text):
    """A docstring by section; what stands before the first is "Summary"."""
    found, name = {"Summary": []}, "Summary"
    lines = inspect.cleandoc(text).splitlines()
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and line and re.fullmatch("-{3,}", lines[i + 1]) and len(line) == len(lines[i + 1]):
            name = line
            found[name] = []
        elif not re.fullmatch("-{3,}", line) or name == "Summary":
            found[name].append(line)
    return {name: "\n".join(lines).strip("\n") for name, lines in found.items()}


def entries(section):
    """(names, kind, words) of a section that lists: the line at the margin, and what is indented below."""
    found = []
    for line in section.splitlines():
        if line and not line[0].isspace():
            names, _, kind = line.partition(" : ")
            found.append(([name.strip().lstrip("*") for name in names.split(",")], kind, []))
        elif line.strip() and found:
            found[-1][2].append(line.strip())
    return [(names, kind, " ".join(words)) for names, kind, words in found]


# ---- what there is ----------------------------------------------------------------------------------------------


def public():
    """(module, name, object) of everything public; a name that two modules have counts for the deeper one."""
    names = {}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            one = getattr(importlib.import_module(module), name)
            if (inspect.isfunction(one) or inspect.isclass(one)) and one.__module__.startswith("fastdl"):
                names[id(one)] = (module, name, one)
    told = set(names)
    for module, name, one in names.values():
        yield module, name, one
        for owner, member, value in members(one) if inspect.isclass(one) else ():
            if id(value) not in told:  # a method that classes share counts once
                told.add(id(value))
                yield module, f"{owner}.{member}", value


def members(kind):
    """Public methods and properties, those that fastdl's bases define among them."""
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("fastdl"):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or getattr(kind, name, None) is None:
                continue
            value = getattr(value, "__func__", value)
            if (inspect.isfunction(value) or isinstance(value, (property, functools.cached_property))) and (
                inspect.getattr_static(kind, name) is vars(base)[name]
            ):
                yield base.__name__, name, value


def signature(one):
    """Parameters by name. An optimizer takes those of its base and its rule's settings too."""
    given = {name: value for name, value in inspect.signature(one).parameters.items() if name not in ("self", "cls")}
    if "settings" in given and hasattr(one, "update"):
        del given["settings"]
        given |= {name: value for name, value in signature(one.__mro__[-2]).items() if name != "settings"}
        rule = inspect.signature(one.update).parameters
        own = ("step", "grad_scale")
        given |= {
            name: value.replace(default=one.defaults.get(name, value.default))
            for name, value in rule.items()
            if value.kind is value.KEYWORD_ONLY and name not in own
        }
    return given


def raises(one):
    """Whether it refuses arguments: by itself, or by a function that it calls by name."""
    plain = inspect.unwrap(one.__init__ if inspect.isclass(one) else one)
    known = inspect.isfunction(plain) and plain.__module__.startswith("fastdl")
    if not known or plain.__code__.co_filename.startswith("<"):  # a dataclass's constructor
        return False
    if plain not in REFUSING:
        REFUSING[plain] = False  # until it is known: functions may call each other
        REFUSING[plain] = any(refuses(node, plain.__globals__) for node in ast.walk(parsed(plain)))
    return REFUSING[plain]


def refuses(node, scope):
    if isinstance(node, ast.Raise):
        return getattr(getattr(node.exc, "func", None), "id", "") in ("ValueError", "TypeError")
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        module = scope.get(getattr(called.value, "id", ""))
        called = getattr(module, called.attr, None) if inspect.ismodule(module) else None
    else:
        called = scope.get(getattr(called, "id", ""))
    if getattr(called, "__name__", "") in NEUTRAL:
        return False
    return (inspect.isfunction(called) or inspect.isclass(called)) and raises(called)


def parsed(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


REFUSING: dict = {}
NEUTRAL = ("plain_number", "is_one_of", "shown", "written_as")


def gives(one):
    """The sections of which one has to say what it returns; none for what returns nothing."""
    plain = inspect.unwrap(one)
    annotation = inspect.signature(plain).return_annotation
    if inspect.isgeneratorfunction(plain):
        return () if is_manager(one) and re.search(r"^ +yield$", inspect.getsource(plain), re.M) else ("Yields",)
    if annotation in (None, "None"):
        return ()
    return ("Returns", "Yields") if "Iterator" in str(annotation) else ("Returns",)


def is_manager(one):
    return one is not inspect.unwrap(one) and "contextmanager" in inspect.getsource(inspect.unwrap(one))


# ---- what is missing --------------------------------------------------------------------------------------------


def faults(module, name, one):
    text = inspect.getdoc(one)
    if not text:
        return ["no docstring"]
    found = sections(text)
    summary = found["Summary"].split("\n\n")[0]
    wrong = [] if summary.rstrip().endswith((".", ":")) else ["the summary does not end with a full stop"]
    wrong += [f"unknown section {part}" for part in found if part not in (*SECTIONS, "Summary")]
    if isinstance(one, (property, functools.cached_property)):
        return wrong
    wrong += parameter_faults(one, found)
    if not inspect.isclass(one):
        wanted = gives(one)
        if wanted and not any(map(found.get, wanted)):
            wrong.append(f"no {wanted[0]}")
    if raises(one) and not found.get("Raises"):
        wrong.append("no Raises")
    if "." in name or is_result(one):
        return wrong
    if ">>>" not in found.get("Examples", ""):
        wrong.append("no Examples")
    words = "\n".join(part for section, part in found.items() if section != "Examples")
    if any(f"{module}.".startswith(f"fastdl.{topic}.") for topic in FORMULAS) and not SOURCE.search(words):
        wrong.append("no source")
    return wrong


def is_result(one):
    """Whether it is what a function returns: its example is the function's."""
    return inspect.isclass(one) and (hasattr(one, "_fields") or dataclasses.is_dataclass(one) or issubclass(one, tuple))


def parameter_faults(one, found):
    wanted = signature(one)
    if is_result(one):
        told = entries(found.get("Parameters", "") + "\n" + found.get("Attributes", ""))
    else:
        told = entries(found.get("Parameters", ""))
    names = [name for some, _, _ in told for name in some]
    wrong = [f"parameter {name} is not told" for name in wanted if name not in names]
    if not is_result(one):
        wrong += [f"no parameter {name}" for name in names if name not in wanted]
    for some, kind, words in told:
        said = f"{kind} {words}"
        if not said.strip():
            wrong.append(f"parameter {some[0]} has no type")
        elif not is_result(one):
            wrong += default_faults({name: wanted[name] for name in some if name in wanted}, kind, words)
    return wrong


def default_faults(parameters, kind, words):
    """What is wrong with the defaults of one entry; "default 0.0" is that of all its names, "0 and 1" one each."""
    given = {name: one.default for name, one in parameters.items() if one.default is not one.empty}
    if not given:
        return []
    said = f"{kind} {words}"
    if not re.search(r"[dD]efault|optional", said) and not REFERS.search(said):
        return [f"parameter {name}: default {value!r} is not told" for name, value in given.items()]
    match = re.search(r"default (.+)$", kind)
    texts = match[1].split(" and ") if match else []
    try:
        told = [ast.literal_eval(text) for text in texts]
    except (ValueError, SyntaxError):  # in words, or by name
        return []
    told = told * len(given) if len(told) == 1 else told
    pairs = zip(given.items(), told, strict=True) if told else ()
    return [
        f"parameter {name}: default {value!r} is told as {one!r}"
        for (name, value), one in pairs
        if value != one or (value is None) != (one is None)
    ]


# ---- the tests --------------------------------------------------------------------------------------------------


NAMES = [pytest.param(*row, id=f"{row[0]}.{row[1]}") for row in public()]


@pytest.mark.parametrize(("module", "name", "one"), NAMES)
def test_docstring_is_complete(module, name, one):
    assert faults(module, name, one) == []


def test_every_public_module_is_looked_at():
    found = {"fastdl"}
    for info in pkgutil.walk_packages(fastdl.__path__, "fastdl."):
        parts = info.name.split(".")[1:]
        if any(part.startswith("_") for part in parts) or parts[0] in ("kernels", "reference"):
            continue
        if parts[:2] == ["interop", "torch"] and not HAS_TORCH:
            continue
        if hasattr(importlib.import_module(info.name), "__all__"):
            found.add(info.name)
    assert found == set(MODULES)


def scaled(x: np.ndarray, factor: float = 2.0, offset: float = 0.0) -> np.ndarray:
    """factor x + offset (docs/dense.md).

    Parameters
    ----------
    x : ndarray
    factor : float, default 2.0
        At least 0.
    offset : float, optional

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If the factor is negative.

    Examples
    --------
    >>> float(scaled(1.0))
    2.0
    """
    if factor < 0:
        raise ValueError(f"factor: got {factor}, expected 0 or more")
    return factor * x + offset


@pytest.mark.parametrize(
    ("told", "instead", "fault"),
    [
        ("", "", None),
        ("offset (docs/dense.md).", "offset (docs/dense.md)", "the summary does not end with a full stop"),
        (" (docs/dense.md)", "", "no source"),
        ("    x : ndarray\n", "", "parameter x is not told"),
        ("factor : float", "faktor : float", "no parameter faktor"),
        ("default 2.0", "default 3.0", "parameter factor: default 2.0 is told as 3.0"),
        (", optional", "", "parameter offset: default 0.0 is not told"),
        ("x : ndarray", "x", "parameter x has no type"),
        ("Returns\n    -------", "Return\n    ------", "no Returns"),
        ("Raises\n    ------", "Errors\n    ------", "no Raises"),
        (">>> ", "", "no Examples"),
    ],
)
def test_what_is_missing_is_found(told, instead, fault):
    twin = types.FunctionType(scaled.__code__, {}, "scaled", scaled.__defaults__)
    twin.__annotations__, twin.__module__ = scaled.__annotations__, "fastdl.dense"
    twin.__doc__ = scaled.__doc__.replace(told, instead, 1)
    found = faults("fastdl.dense", "scaled", twin)
    assert fault in found if fault else found == []
