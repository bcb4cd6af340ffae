"""What this fastdl is and runs on: the first thing to put into a bug report."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from ._dispatch import get_backend, kernels
from ._threads import get_num_threads
from ._validate import choice
from ._version import __version__


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show build chosen, threads, OpenMP and versions.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Whether to print, or to return a dict, as :func:`numpy.show_config`.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: strings, ints and lists of strings, by name.

    Raises
    ------
    ValueError
        If the mode is not known.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.show_config()
    fastdl                      ...
    build                       ...
    >>> found = fd.show_config(mode="dicts")
    >>> found["build"] in found["builds this processor runs"]
    True
    """
    found = _config()
    if choice("mode", mode, ("stdout", "dicts")) == "dicts":
        return found
    width = max(map(len, found)) + 2
    for name, value in found.items():
        print(f"{name:<{width}}{', '.join(value) if isinstance(value, list) else value}")
    return None


def _config() -> dict[str, Any]:
    return {
        "fastdl": __version__,
        "build": kernels.level,
        "builds this processor runs": kernels.system.supported_levels(),
        "FASTDL_ISA": os.environ.get("FASTDL_ISA", "not set"),
        "backend": get_backend(),
        "threads": get_num_threads(),
        "OpenMP": kernels.system.openmp_version() or "none: built for one thread",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "location": str(Path(__file__).parent),
        "installed extras": [name for name in ("tqdm", "matplotlib", "safetensors") if _is_installed(name)],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None
