"""Pictures of losses: an optimizer's path on a surface, and the spectrum of a matrix."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validate import function, integer, number, parts, real_values, text
from ._canvas import MARKERS, axes_of, colours, drawable, tidy


def optimizer_path(
    surface: Any, paths: Any, *, minimum: Any = None, limits: Any = None, points: int = 61, ax: Any = None
) -> Any:
    """Draw where optimizers went on a surface of two parameters.

    Parameters
    ----------
    surface : callable
        Of a point (2,), giving the loss there.
    paths : array_like (n, 2), or mapping of str to array_like (n, 2)
        Where one went, from its start on; or several by name.
    minimum : array_like (2,), optional
        Where the surface is least; default not marked.
    limits : ((x, x), (y, y)), optional
        What to show; default all paths and the minimum, and a sixth more on each side.
    points : int, default 61
        Losses evaluated along each axis, from 2 to 1,000.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or the surface gives no number.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    Between two lines of equal loss lies the same share of the picture's area, so narrow valleys show too.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> path = [np.array([2.0, 1.0]) * 0.8**t for t in range(10)]
    >>> ax = fd.plots.optimizer_path(lambda x: x[0]**2 + 9 * x[1]**2, {"SGD": path}, minimum=[0.0, 0.0])
    >>> ax.lines[0].get_label(), ax.lines[0].get_xydata().shape
    ('SGD', (10, 2))
    """
    surface = function("surface", surface, "a function of a point (2,)")
    several = paths if isinstance(paths, Mapping) else {"": paths}
    found = {}
    for name, one in several.items():
        where = f"paths[{name!r}]" if isinstance(paths, Mapping) else "paths"
        found[text("paths", name)] = drawable(where, one, (None, 2))
    if not found or any(not len(one) for one in found.values()):
        raise ValueError("paths: got no point, expected a path of one or more")
    least = None if minimum is None else drawable("minimum", minimum, (2,))
    points = integer("points", points, 2, 1000)
    x, y = _grid(limits, np.concatenate([*found.values(), *([] if least is None else [least[None]])]), points)
    losses = np.array([[_loss(surface, (a, b)) for a in x] for b in y])
    ax = axes_of(ax, 6.4, 5.0)
    palette = colours(ax)
    levels = np.unique(np.quantile(losses, np.linspace(0, 1, 16)))
    if len(levels) > 1 and np.isfinite(np.ptp(levels)):
        ax.contourf(x, y, losses, levels=levels, cmap=palette.shades, alpha=0.35)
        ax.contour(x, y, losses, levels=levels, colors=palette.faint, linewidths=0.6)
    for i, (name, path) in enumerate(found.items()):
        marks = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5, "markevery": max(1, len(path) // 15)}
        colour = palette.lines[i % len(palette.lines)]
        words = name.replace("$", r"\$") or "path"
        ax.plot(*path.T, color=colour, linewidth=1.6, label=words, zorder=3, **marks)
    start = np.array([path[0] for path in found.values()])
    ax.plot(*start.T, linestyle="", marker="o", markersize=10, fillstyle="none", color=palette.text, label="start")
    if least is not None:
        ax.plot(*least, linestyle="", marker="*", markersize=14, color=palette.text, label="minimum", zorder=4)
    tidy(ax, "first parameter", "second parameter", grid="")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def _grid(limits: Any, seen: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    if limits is None:
        low, high = seen.min(0), seen.max(0)
        wide = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        ends = np.stack([low - wide / 6, high + wide / 6], 1)
    else:
        ends = drawable("limits", parts("limits", limits, "(x, x)", "(y, y)"), (2, 2))
        if not (ends[:, 0] < ends[:, 1]).all():
            raise ValueError("limits: got ends that do not rise, expected ((x, x), (y, y))")
    return np.linspace(ends[0, 0], ends[0, 1], points), np.linspace(ends[1, 0], ends[1, 1], points)


def _loss(surface: Any, point: tuple[float, float]) -> float:
    value = number("surface(point)", surface(np.array(point)))
    return min(max(value, -1e300), 1e300)  # what overflows is the highest there is


def spectrum(eigenvalues: Any, *, width: float | None = None, points: int = 400, ax: Any = None) -> Any:
    """Draw the density of eigenvalues, on a logarithmic axis, with a mark at each.

    Parameters
    ----------
    eigenvalues : array_like (n,), or fastdl.curvature.SpectralDensity
        All of a matrix; or the points and weights that stand for them.
    width : float, optional
        Standard deviation of the curve at each, in the eigenvalues' unit, above 0; default a hundredth of their spread.
    points : int, default 400
        Of the curve, from 2 to 100,000.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or there is no eigenvalue.
    ImportError
        If matplotlib is not installed.

    See Also
    --------
    fastdl.curvature.spectral_density : of a model too large for all eigenvalues.

    References
    ----------
    B. Ghorbani, S. Krishnan and Y. Xiao, "An investigation into neural net optimization via Hessian eigenvalue
    density", 2019.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> ax = fd.plots.spectrum([-0.5, 0.0, 0.1, 3.0])
    >>> ax.get_xlabel(), ax.get_title()
    ('eigenvalue', '25 % of the eigenvalues are negative')
    """
    if hasattr(eigenvalues, "nodes") and hasattr(eigenvalues, "weights"):
        nodes = drawable("eigenvalues.nodes", eigenvalues.nodes, (None,))
        weights = drawable("eigenvalues.weights", eigenvalues.weights, nodes.shape)
    else:
        nodes = drawable("eigenvalues", real_values("eigenvalues", eigenvalues, "fiub"), (None,))
        weights = np.full(nodes.shape, 1 / max(nodes.size, 1))
    if not nodes.size:
        raise ValueError("eigenvalues: got none, expected one or more")
    low, high = float(nodes.min()), float(nodes.max())
    spread = (high - low) or max(abs(high), 1e-30)
    wide = 0.01 * spread if width is None else number("width", width, 1e-30, float(np.finfo(np.float32).max))
    points = integer("points", points, 2, 100_000)
    grid = np.linspace(low - 0.05 * spread - 2 * wide, high + 0.05 * spread + 2 * wide, points)
    curve = np.zeros(points)
    for node, weight in zip(nodes, weights, strict=True):  # one at a time: no table of points by eigenvalues
        curve += weight * np.exp(-0.5 * ((grid - node) / wide) ** 2) / (wide * np.sqrt(2 * np.pi))
    ax = axes_of(ax)
    palette = colours(ax)
    floor = 1e-6 * curve.max() or 1.0
    curve = np.maximum(curve, floor)
    ax.fill_between(grid, floor, curve, color=palette.lines[0], alpha=0.15, linewidth=0)
    ax.plot(grid, curve, color=palette.lines[0], linewidth=1.8, label="density")
    for colour, chosen, name in ((0, nodes >= 0, "at least 0"), (1, nodes < 0, "negative")):
        if chosen.any():
            marks = {"marker": "|", "markersize": 12, "linestyle": "", "color": palette.lines[colour]}
            ax.plot(nodes[chosen], np.full(chosen.sum(), 1.6 * floor), label=name, **marks)
    ax.axvline(0, color=palette.faint, linewidth=1)
    ax.set_yscale("log")
    tidy(ax, "eigenvalue", "density")
    share = 100 * float(weights[nodes < 0].sum() / weights.sum())
    ax.set(title=f"{share:.3g} % of the eigenvalues are negative", ylim=(floor, 3 * curve.max()))
    ax.legend(frameon=False)
    return ax
