"""What runs in a child: recipes with one of their calls changed, and what came of it."""

import contextlib
import inspect
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import mutations, snapshots, verdict
from .recipes import Recipe, exercise
from .subjects import bound, fd, tap

LIMIT = 5.0  # seconds of work a call may take; Ctrl-C must reach it after these
SLOW = 20.0  # the same on the reference, which is slow by intent: bisections within bisections, in long double
PATIENCE = 3.0  # times as many by the clock, which on a busy machine runs on while the call waits
AFTERWARDS = 6  # calls that go on with what a changed call left
REFERENCE = 0.15  # share of the calls that run on the reference


class Stop(BaseException):
    """Ends a recipe."""


class Long(BaseException):
    """The alarm's: a call takes too long, and it can be stopped."""


class Site(NamedTuple):
    """A call of a recipe, by its number there."""

    recipe: str
    call: int
    seconds: float
    parameters: int  # that can be changed


class Finding(NamedTuple):
    kind: str  # crash, hang, foreign, changed, unnamed
    key: str  # findings with the same key are one
    text: str
    index: int


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A folder of its own, no output, no warnings."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder, open(os.devnull, "w") as sink:
        os.chdir(folder)
        tempfile.tempdir = folder
        try:
            with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with np.errstate(all="ignore"):
                    yield
        finally:
            tempfile.tempdir = None
            os.chdir(here)


def inventory(recipes: dict[str, Recipe]) -> tuple[dict[str, list[Site]], list[str]]:
    """Callable -> its calls in the recipes; and the recipes that do not run, which is a fault of theirs."""
    sites: dict[str, list[Site]] = {}
    broken = []
    for name, recipe in recipes.items():
        made: list[Any] = []
        start, count = time.perf_counter(), 0

        def see(callable_: str, function: Any, args: Any, kwargs: Any, name: str = name, made: list[Any] = made) -> Any:
            nonlocal count
            count += 1
            parameters = len(set(inspect.signature(function).parameters) - {"self", "cls"})
            sites.setdefault(callable_, []).append(Site(name, count, time.perf_counter() - start, parameters))  # noqa: B023
            if callable_.endswith(".__init__"):
                made.append(args[0])
            return function(*args, **kwargs)

        fd.random.seed(0)
        tap.handler = see
        try:
            recipe()
            exercise(made)
        except Exception as error:
            broken.append(f"{name}: {type(error).__name__}: {error}")
        finally:
            tap.handler = None
    return sites, broken


class Call:
    """One fuzzed call: everything random about it comes of (seed, index)."""

    def __init__(
        self, seed: int, index: int, names: list[str], sites: dict[str, list[Site]], recipes: dict[str, Recipe]
    ):
        self.rng = random.Random(f"{seed}/{index}")
        self.index, self.recipes = index, recipes
        self.name = names[index % len(names)]
        near = sorted(sites[self.name], key=lambda one: one.seconds)
        quick = [one for one in near if one.seconds < 0.05] or near[:1]
        # What is quick differs from run to run at the border, and must move no call but its own: so no draw of `rng`.
        self.site = min(quick, key=lambda one: random.Random(f"{seed}/{index}/{one.recipe}/{one.call}").random())
        self.reference = self.rng.random() < REFERENCE
        self.limit = SLOW if self.reference else LIMIT
        self.findings: list[Finding] = []
        self.refusals = self.unnamed = self.count = 0
        self.done: str = ""
        self.made: list[Any] = []
        self.after = 0

    def run(self) -> None:
        tap.handler, tap.depth = None, 0
        fd.random.seed(0)
        signal.signal(signal.SIGALRM, _alarms(self.limit))
        signal.setitimer(signal.ITIMER_REAL, self.limit)
        try:
            with fd.backend("reference") if self.reference else contextlib.nullcontext():
                tap.handler = self._handle  # from here on, since the backend's own call is none of the recipe's
                self.recipes[self.site.recipe]()
                exercise(self.made)
        except Stop:
            pass
        except Long:
            self._long()
        except Exception as error:  # of an iterator that a call gave, or of the recipe's own
            if verdict.site(error) != "outside" and not verdict.allowed(self.name, error) and self.done:
                self._find("foreign", error, "afterwards, outside a call")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            tap.handler = None

    def _handle(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        self.count += 1
        if name.endswith(".__init__"):
            self.made.append(args[0])
        if self.count < self.site.call:
            return function(*args, **kwargs)
        if self.count == self.site.call:
            return self._changed(name, function, args, kwargs)
        self.after += 1
        if self.after > AFTERWARDS:
            raise Stop
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not verdict.allowed(name, error):
                self._find("foreign", error, f"afterwards, in {name}")
            raise Stop from None

    def _changed(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        call = bound(function, args, kwargs)
        if call is None:
            raise Stop
        mutated = self._mutate(name, call)
        self.done = f"{name}({', '.join(f'{one}: {done}' for one, done, _ in mutated)})"
        if self.reference:
            self.done += " on the reference"
        given = dict(call.arguments)
        before = snapshots.take(given)
        try:
            result = function(*call.args, **call.kwargs)
        except Exception as error:
            owner, method = given.get("self"), name.rpartition(".")[2]
            passed = verdict.taken(owner, method) if method in ("__call__", "forward") else []
            self._judge(name, error, mutated, passed or list(call.signature.parameters))
            lost = [one for one in snapshots.changed(before, snapshots.take(given)) if not verdict.left(name, one)]
            if name.endswith(".__init__"):  # nobody has the object that was not made
                lost = [place for place in lost if re_root(place) != "self"]
            if lost and not isinstance(error, mutations.Raised):
                self._note(
                    "changed", f"{name} {lost[0].split('[')[0]}", f"{self.done} was refused and changed {lost[:3]}"
                )
            raise Stop from None
        if name.endswith(".__init__"):
            return result
        arrays = {key: value for key, value in given.items() if not verdict.written(name, key) and key != "self"}
        lost = snapshots.changed({k: v for k, v in before.items() if re_root(k) in arrays}, snapshots.take(arrays))
        aliased = any(done == "aliased" for _, done, _ in mutated)
        if lost and not aliased:
            self._note("changed", f"{name} {re_root(lost[0])}", f"{self.done} changed {lost[:3]}")
        return result

    def _mutate(self, called: str, call: Any) -> list[tuple[str, str, Any]]:
        """Change one argument, now and then two; (parameter, what was done, value) of each."""
        places = [name for name in call.arguments if name not in ("self", "cls")]
        mutated = []
        owner, names = call.arguments.get("self"), [one for one in call.signature.parameters if one != "self"]
        for name in self.rng.sample(places, min(len(places), 2 if self.rng.random() < 0.1 else 1)):
            value = call.arguments[name]
            siblings = [one for key, one in call.arguments.items() if key != name and isinstance(one, np.ndarray)]
            kind = call.signature.parameters[name].kind
            if kind in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD):
                if not value:
                    continue
                key = self.rng.choice(range(len(value)) if kind == kind.VAR_POSITIONAL else list(value))
                done, new = mutations.mutate(self.rng, value[key], siblings)
                items = list(value) if kind == kind.VAR_POSITIONAL else dict(value)
                items[key] = new
                call.arguments[name] = tuple(items) if kind == kind.VAR_POSITIONAL else items
                if kind == kind.VAR_POSITIONAL:
                    key = verdict.written_as(called, owner, name, names.index(name) + key)
                mutated.append((key, done, new))
                continue
            done, new = mutations.mutate(self.rng, value, siblings)
            call.arguments[name] = new
            mutated.append((verdict.written_as(called, owner, name, None), done, new))
        return mutated

    def _judge(self, name: str, error: Exception, mutated: list[tuple[str, str, Any]], parameters: list[str]) -> None:
        if not verdict.allowed(name, error):
            self._find("foreign", error, "")
        elif verdict.is_refusal(error) and not verdict.of_callers(error):
            self.refusals += 1
            if not (verdict.names_it(error, mutated, parameters) or verdict.of_its_object(name, error)):
                self.unnamed += 1
                self._find("unnamed", error, "")

    def _find(self, kind: str, error: BaseException, where: str) -> None:
        where = f" {where}" if where else ""
        text = f"{self.done}{where} -> {type(error).__name__}: {str(error)[:160]!r} at {verdict.site(error)}"
        self._note(kind, f"{self.name} {type(error).__name__} {verdict.site(error)}", text)

    def _note(self, kind: str, key: str, text: str) -> None:
        self.findings.append(Finding(kind, f"{kind} {key}", f"{text} [{self.site.recipe}]", self.index))

    def _long(self) -> None:
        amounts = any(f"{one}: " in self.done for one in verdict.AMOUNTS)
        if self.done and not amounts:  # before it, the recipe was slow, which is no call's fault
            self._note("hang", self.done, f"{self.done} took more than {self.limit:g} s")


def re_root(place: str) -> str:
    """The argument that a place is of."""
    for i, one in enumerate(place):
        if one in ".[{":
            return place[:i]
    return place


def _alarms(limit: float) -> Callable[[int, Any], None]:
    """What answers the alarm of a call that begins now: it goes off again until the call had its seconds of work."""
    work, clock = time.process_time(), time.monotonic()

    def alarm(signum: int, frame: Any) -> None:
        left = min(limit - (time.process_time() - work), PATIENCE * limit - (time.monotonic() - clock))
        if left <= 0:
            raise Long
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.01))

    return alarm


def line(text: str) -> str:
    """One line of it that a terminal can show."""
    return text.encode("unicode_escape", "backslashreplace").decode()[:400]


__all__ = ["Call", "Finding", "Site", "inventory", "line", "quiet", "sys"]
