"""Every public name has a complete docstring: the sections of numpydoc, true to its signature."""

import ast
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap

import pytest

MODULES = [
    "fastdl",
    "fastdl.dense",
    "fastdl.dropout",
    "fastdl.norms",
    "fastdl.recurrent",
    "fastdl.sequence",
    "fastdl.random",
    "fastdl.nn",
    "fastdl.optim",
    "fastdl.optim.schedules",
    "fastdl.models",
    "fastdl.training",
    "fastdl.curvature",
    "fastdl.text",
    "fastdl.cli",
]
# Modules of which not every name is done. Names may leave this list and never join it.
UNFINISHED: dict[str, int] = {}
SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "Notes", "References", "See Also",
            "Examples")  # fmt: skip
FORMULAS = ("dense", "dropout", "norms", "optim", "recurrent", "sequence", "nn", "curvature")
# What says where an equation is from: a number of docs/*.md, the page itself, a paper, or a name that says it.
SOURCE = re.compile(r"\(\d+\.\d+[a-z]?\b|\b\d\.\d+\)|docs/\w+\.md|\b(19|20)\d\d\b|:(func|class|meth):")
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
    """The sections of which one says what it returns, or None."""
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
    text = inspect.getdoc(one) or ""
    if "." in name and not isinstance(one, (property, functools.cached_property)):
        text = text or inherited(module, name)
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
    if module.split(".")[1:2] and module.split(".")[1] in FORMULAS and not SOURCE.search(text):
        wrong.append("no source")
    return wrong


def inherited(module, name):
    kind, member = name.split(".")
    return inspect.getdoc(getattr(getattr(importlib.import_module(module), kind), member)) or ""


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
        for name in some:
            if name in wanted and not is_result(one) and not REFERS.search(said):
                wrong += default_faults(name, wanted[name], kind, words, len(some) > 1)
    return wrong


def default_faults(name, parameter, kind, words, several):
    if parameter.default is parameter.empty:
        return []
    said = f"{kind} {words}"
    if not re.search(r"[dD]efault|optional", said):
        return [f"parameter {name}: default {parameter.default!r} is not told"]
    if several or not (match := re.search(r"default (\S+)$", kind)):
        return []
    try:
        told = ast.literal_eval(match[1])
    except (ValueError, SyntaxError):
        return []
    same = told == parameter.default and (told is None) == (parameter.default is None)
    return [] if same else [f"parameter {name}: default {parameter.default!r} is told as {told!r}"]


NAMES = [pytest.param(*row, id=f"{row[0]}.{row[1]}") for row in public()]


@pytest.mark.parametrize(("module", "name", "one"), NAMES)
def test_docstring_is_complete(module, name, one):
    assert faults(module, name, one) == []
