"""Pictures of what goes on inside: attention, gates and states, gradients over time, weights and gradients."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._validate import integer, mapping, shown, text
from ._canvas import (
    DIVERGING,
    MARKERS,
    SEQUENTIAL,
    axes_of,
    colour_bar,
    colours,
    drawable,
    heat_map,
    name_ticks,
    names_of,
    several_axes,
    tidy,
    whole_numbers,
)


def attention_map(weights: Any, *, source: Any = None, target: Any = None, ax: Any = None) -> Any:
    """Draw what each step of a target looked at in its source.

    Parameters
    ----------
    weights : array_like (T, S)
        Of one sequence: of :func:`fastdl.dot_attention_forward`, say, ``weights[:, b]``. At least 0.
    source, target : sequence (S,) and (T,), optional
        Names of the steps, such as letters of a text. Default their numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If the weights are none, or there are not as many names.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastdl as fd
    >>> ax = fd.plots.attention_map([[0.9, 0.1], [0.2, 0.8]], source="ab", target="xy")
    >>> [one.get_text() for one in ax.get_xticklabels()]
    ['a', 'b']
    """
    found = drawable("weights", weights, (None, None))
    if not found.size or found.min() < 0:
        got = f"{found.min():g}" if found.size else f"shape {found.shape}"
        raise ValueError(f"weights: got {got}, expected (T, S) numbers of at least 0, one of each or more")
    above = names_of("source", source, found.shape[1], "step of the source")
    beside = names_of("target", target, found.shape[0], "step of the target")
    ax = axes_of(ax, 2.2 + 0.28 * min(found.shape[1], 40), 1.6 + 0.28 * min(found.shape[0], 30))
    image = heat_map(ax, found, cmap=SEQUENTIAL, vmin=0, vmax=max(float(found.max()), 1e-30))
    name_ticks(ax.xaxis, above)
    name_ticks(ax.yaxis, beside)
    ax.set(xlabel="source", ylabel="target")
    colour_bar(image, ax, "attention")
    return ax


def gates(values: Any, *, steps: Any = None, ax: Any = None) -> list[Any]:
    """Draw gates and states of a recurrent layer over time, each in axes of its own.

    Parameters
    ----------
    values : mapping of str to array_like (T, H)
        Of one sequence, by name. Values from 0 to 1 are drawn as gates; others around 0.
    steps : sequence (T,), optional
        Names of the steps, such as letters of a text. Default their numbers.
    ax : sequence of matplotlib.axes.Axes, optional
        Where to draw, as many; default a figure of its own, one below the other.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there are no values, steps differ, or an argument is bad.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> drawn = fd.plots.gates({"forget gate": np.ones((5, 3)), "cell": -np.ones((5, 3))}, steps="hello")
    >>> [ax.get_title() for ax in drawn]
    ['forget gate', 'cell']
    """
    found = {
        text("values", name): drawable(f"values[{name!r}]", one, (None, None))
        for name, one in mapping("values", values, "names to (T, H)").items()
    }
    if not found or any(one.size == 0 for one in found.values()):
        raise ValueError("values: got nothing, expected a gate or state or more, of a step and a unit or more")
    T = len(next(iter(found.values())))
    for name, one in found.items():
        if len(one) != T:
            raise ValueError(f"values[{name!r}]: got {len(one)} steps, expected {T} like the first")
    names = names_of("steps", steps, T, "step")
    drawn = several_axes(ax, len(found), 4.0 + 0.09 * min(T, 80), 1.9)
    for one, (name, array) in zip(drawn, found.items(), strict=True):
        gate = array.min() >= 0 and array.max() <= 1
        most = 1.0 if gate else max(float(np.abs(array).max()), 1e-30)
        options = {"cmap": SEQUENTIAL, "vmin": 0.0} if gate else {"cmap": DIVERGING, "vmin": -most}
        image = heat_map(one, array.T, vmax=most, **options)
        name_ticks(one.xaxis, names, 100)
        one.yaxis.set_major_locator(whole_numbers())
        one.set(title=name.replace("$", r"\$"), ylabel="unit")
        colour_bar(image, one, "0 closed, 1 open" if gate else "value")
    drawn[-1].set_xlabel("step")
    return drawn


def gradient_flow(flows: Any, *, ax: Any = None) -> Any:
    """Draw how gradients fade or grow over time: singular values of d h_t / d h_s by lag (docs/curvature.md 2.7).

    Parameters
    ----------
    flows : fastdl.curvature.GradientFlow, or mapping of str to GradientFlow
        One, or several to compare by name: an LSTM's beside an RNN's.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If it is none, or there are none.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> flow = fd.curvature.GradientFlow(np.array([[[[0.5], [0.25], [0.125]]]]))
    >>> ax = fd.plots.gradient_flow({"RNN": flow})
    >>> ax.lines[0].get_label(), ax.get_yscale()
    ('RNN, largest', 'log')
    """
    several = flows if isinstance(flows, Mapping) else {"": flows}
    if not several:
        raise ValueError("flows: got none, expected a GradientFlow or more")
    for name, flow in several.items():
        text("flows", name)
        if not all(hasattr(flow, one) for one in ("lags", "largest", "median", "smallest")):
            where = f"flows[{name!r}]" if isinstance(flows, Mapping) else "flows"
            raise TypeError(f"{where}: got {type(flow).__name__}, expected a GradientFlow")
    ax = axes_of(ax)
    palette = colours(ax)
    for i, (name, flow) in enumerate(several.items()):
        colour, words = palette.lines[i % len(palette.lines)], f"{name}, ".replace("$", r"\$") if name else ""
        marks = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "markevery": max(1, len(flow.lags) // 12)}
        ax.plot(flow.lags, flow.largest, color=colour, linewidth=2, label=f"{words}largest", **marks)
        ax.plot(flow.lags, flow.median, "--", color=colour, linewidth=1.5, label=f"{words}median")
        ax.fill_between(flow.lags, flow.smallest, flow.largest, color=colour, alpha=0.12, linewidth=0)
    ax.set_yscale("log")
    ax.axhline(1.0, color=palette.faint, linewidth=1)
    tidy(ax, "lag t - s", "singular values of d h_t / d h_s")
    ax.legend(frameon=False)
    return ax


# ---- weights and gradients


def weight_histogram(parameters: Any, *, bins: int = 60, ax: Any = None) -> Any:
    """Draw how the weights of each parameter are spread.

    Parameters
    ----------
    parameters : fastdl.nn.Module, or mapping of str to array_like
        A model, or arrays by name.
    bins : int, default 60
        Columns of a histogram, from 1 to 1,000.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there are no parameters, one is not finite, or an argument is bad.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    All rows share the horizontal axis. Each has its own height, and to the right stands its standard deviation.

    Examples
    --------
    >>> import fastdl as fd
    >>> ax = fd.plots.weight_histogram(fd.nn.Linear(20, 30, rng=0))
    >>> [one.get_text() for one in ax.get_yticklabels()]
    ['weight', 'bias']
    """
    found = dict(_arrays(parameters, "data"))
    rows = {name: (values, f"std {values.std():.2g}") for name, values in found.items()}
    return _ridges(rows, integer("bins", bins, 1, 1000), "weight", ax)


def gradient_histogram(parameters: Any, *, bins: int = 60, ax: Any = None) -> Any:
    """Draw how large the gradients of each parameter are, on a logarithmic axis.

    Parameters
    ----------
    parameters : fastdl.nn.Module, or mapping of str to array_like
        A model after its backward, or gradients by name.
    bins : int, default 60
        Columns of a histogram, from 1 to 1,000.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If there are no parameters, one is not finite, or an argument is bad.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    A gradient of exactly 0 has no logarithm: to the right stands the share of these, where there are any, and the
    gradient's norm.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> ax = fd.plots.gradient_histogram({"weight": np.array([1e-3, -1e-2, 0.0, 0.1])})
    >>> ax.texts[0].get_text()
    'norm 0.1, 25 % are 0'
    """
    rows = {}
    for name, values in _arrays(parameters, "grad"):
        nonzero = np.abs(values[values != 0])
        words = f"norm {np.sqrt((values**2).sum()):.2g}"
        if nonzero.size < values.size:
            words += f", {100 * (1 - nonzero.size / values.size):.3g} % are 0"
        rows[name] = (np.log10(nonzero), words)
    return _ridges(rows, integer("bins", bins, 1, 1000), "size of the gradient, log10", ax)


def _arrays(parameters: Any, which: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each parameter that has any."""
    if hasattr(parameters, "named_parameters"):
        named = [(name, getattr(one, which)) for name, one in parameters.named_parameters()]
    elif isinstance(parameters, Mapping):
        named = [(text("parameters", name), one) for name, one in parameters.items()]
    else:
        raise TypeError(f"parameters: got {shown(parameters)}, expected a module, or a mapping of names to arrays")
    arrays = [(name, drawable(f"parameters[{name!r}]", one).reshape(-1)) for name, one in named]
    if not any(one.size for _, one in arrays):
        raise ValueError("parameters: got none, expected one or more")
    return ((name, one) for name, one in arrays if one.size)


def _ridges(rows: Mapping[str, tuple[np.ndarray, str]], bins: int, xlabel: str, ax: Any) -> Any:
    """A histogram a row, the first on top; beside each what is said of it."""
    every = np.concatenate([values for values, _ in rows.values()])
    low, high = (float(every.min()), float(every.max())) if every.size else (-1.0, 1.0)
    pad = 0.02 * (high - low) or 0.5 * max(abs(low), 1e-3)
    edges = np.linspace(low - pad, high + pad, bins + 1)
    ax = axes_of(ax, 7.5, 1.2 + 0.55 * min(len(rows), 30))
    palette = colours(ax)
    for row, (values, words) in enumerate(rows.values()):
        count = np.histogram(values, edges)[0]
        height = 0.85 * count / max(count.max(), 1)
        colour = palette.lines[row % 2]
        ax.stairs(row - height, edges, baseline=row, fill=True, color=colour, alpha=0.6)
        ax.stairs(row - height, edges, baseline=None, color=colour, linewidth=1)
        ax.text(1.01, row, words, transform=ax.get_yaxis_transform(), va="bottom", fontsize="small", color=palette.text)
    tidy(ax, xlabel, "", grid="x")
    ax.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in rows])
    ax.set(xlim=(edges[0], edges[-1]), ylim=(len(rows) - 0.8, -1.0))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax
