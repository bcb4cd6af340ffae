"""Writes the API reference's lists from every module's __all__, so that no public name is forgotten."""

import importlib
import inspect
from pathlib import Path

MODULES = {  # page, in the order of the reference: title, module
    "nn": ("Layers: fd.nn", "fastdl.nn"),
    "init": ("First values: fd.nn.init", "fastdl.nn.init"),
    "optim": ("Optimizers: fd.optim", "fastdl.optim"),
    "schedules": ("Schedules: fd.optim.schedules", "fastdl.optim.schedules"),
    "training": ("Training: fd.training", "fastdl.training"),
    "models": ("Models: fd.models", "fastdl.models"),
    "estimators": ("Estimators: fd.estimators", "fastdl.estimators"),
    "interop-onnx": ("ONNX: fd.interop.onnx", "fastdl.interop.onnx"),
    "interop-c": ("C: fd.interop.c", "fastdl.interop.c"),
    "interop-audio": ("Audio: fd.interop.audio", "fastdl.interop.audio"),
    "interop-keras": ("Keras: fd.interop.keras", "fastdl.interop.keras"),
    "metrics": ("Metrics: fd.metrics", "fastdl.metrics"),
    "plots": ("Pictures: fd.plots", "fastdl.plots"),
    "saving": ("Models in files: fd.saving", "fastdl.saving"),
    "recurrent": ("Recurrent layers as functions", "fastdl.recurrent"),
    "sequence": ("Sequences: CTC, attention, decoding", "fastdl.sequence"),
    "dense": ("Dense layers and losses as functions", "fastdl.dense"),
    "dropout": ("Dropout as functions", "fastdl.dropout"),
    "norms": ("Norms", "fastdl.norms"),
    "curvature": ("Curvature: fd.curvature", "fastdl.curvature"),
    "random": ("Random numbers: fd.random", "fastdl.random"),
    "text": ("Text: fd.text", "fastdl.text"),
    "datasets": ("Data: fd.datasets", "fastdl.datasets"),
    "interop_torch": ("torch: fd.interop.torch", "fastdl.interop.torch"),
    "interop_torch_optim": ("torch: fd.interop.torch.optim", "fastdl.interop.torch.optim"),
    "settings": ("Backend and threads", "fastdl"),
}
VALUES = {  # what a public value is: its own docstring would be its type's
    "Schedule": "The type of a schedule, ``Callable[[int], float]``: from a step's number to a factor on the rate.",
    "UNKNOWN": "The character U+FFFD, which stands for every character that a vocabulary does not know.",
}
DEEPER = tuple(module for _, module in MODULES.values() if module != "fastdl" and ".interop." not in module)


def imported(module):
    """The module; None where the package that it needs is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if ".interop." not in module:
            raise
        return None


def public(module):
    """The functions and classes of the module's __all__; of fastdl itself those that no topic has."""
    found = imported(module)
    if found is None:
        return []
    names = [name for name in found.__all__ if not inspect.ismodule(getattr(found, name))]
    if module == "fastdl":
        deeper = {name for other in DEEPER for name in importlib.import_module(other).__all__}
        names = [name for name in names if name not in deeper]
    return names


def listing(title, module):
    found = imported(module)
    if found is None:
        about = f"These pages were made without the package; ``help({module})`` tells the same where it is installed."
        return "\n".join([title, "=" * len(title), "", about, ""])
    names = public(module)
    kinds = {
        "Classes": [name for name in names if inspect.isclass(getattr(found, name))],
        "Functions": [name for name in names if inspect.isroutine(getattr(found, name))],
    }
    values = [name for name in names if not any(name in kind for kind in kinds.values())]
    lines = [title, "=" * len(title), "", f".. currentmodule:: {module}", ""]
    for kind, members in kinds.items():
        if members:
            lines += [kind, "-" * len(kind), "", ".. autosummary::", "   :toctree: generated", ""]
            lines += [f"   {name}" for name in sorted(members, key=str.lower)] + [""]
    if values:
        lines += ["Values", "------", ""]
        for name in sorted(values):
            lines += [f".. data:: {name}", "", f"   {VALUES[name]}", ""]
    return "\n".join(lines)


def write(app, _config):
    folder = Path(app.srcdir) / "api"
    for page, (title, module) in MODULES.items():
        path, text = folder / f"{page}.rst", listing(title, module)
        if not path.exists() or path.read_text() != text:  # a file that stays as it was is not read again
            path.write_text(text)


def routed(app, what, name, one, options, lines):
    """scikit-learn's methods of metadata routing refer to pages of its own site: they are told in one sentence."""
    if name.startswith("fastdl.estimators.") and name.endswith(("_request", ".get_metadata_routing")):
        lines[:] = ["Of scikit-learn's metadata routing: see its user guide."]


def setup(app):
    app.connect("autodoc-process-docstring", routed, priority=100)  # before numpydoc
    app.connect("config-inited", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
