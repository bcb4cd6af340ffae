"""Every public call with its arrays replaced by subclasses, and its numbers by 0-d arrays; its findings as JSON.

The calls are the fuzz's recipes. It is a program of its own, run by test_subclasses.py, since the taps stay open.
"""

import functools
import inspect
import json
import re
import tempfile
import warnings
from collections import Counter

import numpy as np

import fastdl as fd
from fuzz import snapshots, verdict
from fuzz.recipes import exercise, recipes
from fuzz.subjects import bound, open_taps, tap
from fuzz.worker import quiet, re_root

REFUSED = {
    "matrix": lambda a: np.matrix(a.reshape(a.shape[0], -1) if a.ndim > 1 else np.atleast_2d(a)),
    "masked array": lambda a: np.ma.masked_array(a, mask=np.zeros(a.shape, bool)),
}
# Places that differ from run to run: times, counters by which caches are known to be old, distances in memory,
# memory nobody has written, names of temporary files; or by the argument's type: a text that cannot change is kept as
# it came, and so are the arguments of a constructor.
UNSTEADY = re.compile(
    r"seconds|_spare\[|_given\[|_started|_earlier|_at$|_pairs|\.arrays\[1\]|\.grad$|_rows$|\.gates$|\.pieces$|parameters\[\d\]\[1\]$|\bpath$|\bpaths\[\d\]$"
)
LOOKED_AT = 3  # calls of one callable in a recipe, of which what they leave is compared
LEFT = {  # what is the caller's own, or not asked
    "sequence.decode(state": "handed to the caller's function, whatever it is",
    "nn.Module.__call__(args[0])": "a layer of one's own, whose forward does as it likes",
    "curvature.LossAt.__init__(": "the base class of what a registered loss gives, which holds what it is given",
    "training.Run.seconds(value)": "of a clock",
}
ALSO = {  # as the caller's model and loss call them, and functions behind a layer
    "data": ["x"], "batches": ["x"], "group": ["x"], "output": ["logits"], "y": ["targets"],
    "args": ["x"],
}  # fmt: skip


def replaced(value, make, path=""):
    """(path, `value` with one of its entries made another), for each entry of which `make` makes one."""
    if not isinstance(value, (dict, list, tuple)):
        if (made := make(value)) is not None:
            yield path, made
    elif path.count("[") < 3 and not hasattr(value, "_replace"):  # a result of fastdl's own, as a tape is
        for key in value if isinstance(value, dict) else range(len(value)):
            for inner, made in replaced(value[key], make, f"{path}[{key!r}]"):
                yield inner, put(value, key, made)


def put(value, key, made):
    if isinstance(value, dict):
        return {**value, key: made}
    return type(value)(made if i == key else one for i, one in enumerate(value))


def everywhere(value, make):
    """`value` with every entry made another, of which `make` makes one."""
    if hasattr(value, "_replace"):
        return value  # a result of fastdl's own, as a tape is
    if isinstance(value, dict):
        return {key: everywhere(one, make) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(everywhere(one, make) for one in value)
    made = make(value)
    return value if made is None else made


def numeric(value):
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def on_disk(array):
    """A read-only memmap of a copy; of an empty array, which cannot be mapped, a view."""
    if not array.size:
        return array.view(np.memmap)
    with tempfile.NamedTemporaryFile() as file:
        file.write(np.ascontiguousarray(array).tobytes())
        file.flush()
        return np.memmap(file.name, array.dtype, "r", shape=array.shape)


def written(name, parameter):
    """Whether a call writes into what it is given, now or later."""
    patterns = [(pattern, names.split()) for pattern, names in verdict.WRITES if "self" not in names.split()]
    return parameter == "parameters" or any(parameter in names and re.fullmatch(one, name) for one, names in patterns)


def as_memmaps(name, parameter, value):
    make = (lambda a: a.view(np.memmap)) if written(name, parameter) else on_disk
    return everywhere(value, lambda one: make(one) if numeric(one) else None)


def as_arrays(name, parameter, value):
    """Numbers as 0-d arrays, but for True and False, which say whether, and buffers, which hold arrays as well."""
    number = (
        not name.endswith("register_buffer")
        and isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
    )
    return np.array(value) if number else value


class Audit:
    def __init__(self):
        self.findings, self.tried = [], {}

    def find(self, kind, name, parameter, path, what):
        line = f"{kind}: {name}({parameter}{path}): {what}"
        if line not in self.findings and not f"{name}({parameter}{path})".startswith(tuple(LEFT)):
            self.findings.append(line)

    # ---- what must be refused
    def refusals(self, made, name, function, args, kwargs):
        if name.endswith(".__init__"):
            made.append(args[0])
        call = bound(function, args, kwargs)
        given = {} if call is None else dict(call.arguments)
        for parameter in given.keys() - {"self", "cls"}:
            self.tried.setdefault(("any", name, parameter, ""), True)
            for kind, make in REFUSED.items():
                each = replaced(given[parameter], lambda one, make=make: make(one) if numeric(one) else None)
                for path, value in each:
                    key = kind, name, parameter, re.sub(r"\[\d+\]", "[]", path)
                    if key not in self.tried:
                        self.tried[key] = True
                        call.arguments[parameter] = value
                        self.refusal(key, path, function, call)
                        call.arguments[parameter] = given[parameter]
        return function(*args, **kwargs)

    def refusal(self, key, path, function, call):
        kind, name, parameter, _ = key
        try:
            function(*call.args, **call.kwargs)
        except (TypeError, ValueError) as error:
            places = [one for one in call.signature.parameters if one != "self"]
            owner = call.arguments.get("self")
            first = re.match(r"\[(\d+)\]", path)
            several = call.signature.parameters[parameter].kind is inspect.Parameter.VAR_POSITIONAL
            place = places.index(parameter) + int(first[1]) if several and first else None
            named = re.match(r"\['(\w+)'\]$", path)  # of **options
            names = [
                named[1] if named else parameter,
                verdict.written_as(name, owner, parameter, place),
                *ALSO.get(parameter, ()),
            ]
            mutated = [(one, path if one == parameter else "", None) for one in names]
            if kind not in str(error):
                self.find(kind, name, parameter, path, f"refused for something else: {error!s:.90}")
            elif not verdict.names_it(error, mutated, []):
                self.find(kind, name, parameter, path, f"refused without its name: {error!s:.90}")
        except Exception as error:
            self.find(kind, name, parameter, path, f"{type(error).__name__}: {error!s:.90}")
        else:
            self.find(kind, name, parameter, path, "taken")

    # ---- what must give the same
    def results(self, recipe, change, after):
        """What each call of a recipe gives and leaves, with its arguments changed."""
        seen, made, counts = [], [], Counter()

        def handler(name, function, args, kwargs):
            if name.endswith(".__init__"):
                made.append(args[0])
            call = bound(function, args, kwargs)
            kept = ["self"]
            for parameter, value in {} if call is None else dict(call.arguments).items():
                if change is not None and parameter not in ("self", "cls"):
                    kind = call.signature.parameters[parameter].kind
                    call.arguments[parameter] = (
                        {key: change(name, key, one) for key, one in value.items()}
                        if kind is kind.VAR_KEYWORD
                        else tuple(change(name, parameter, one) for one in value)
                        if kind is kind.VAR_POSITIONAL
                        else change(name, parameter, value)
                    )
                kept += [parameter] * (change is not as_arrays)
            given = {} if call is None else call.arguments
            seen.append((name, {}))
            counts[name] += 1
            result = function(*args, **kwargs) if call is None else function(*call.args, **call.kwargs)
            if counts[name] > LOOKED_AT:
                return result
            left = snapshots.take({"result": result} | {key: given[key] for key in kept if key in given})
            seen[-1][1].update({place: held for place, held in left.items() if not UNSTEADY.search(place)})
            return result

        error = run(recipe, handler, made, after)
        return seen, error

    def compare(self, kind, name, recipe, change, after):
        plain, failed = self.results(recipe, None, after)
        assert failed is None, f"{name}: {failed}"
        other, failed = self.results(recipe, change, after)
        for (callable_, expected), (_, got) in zip(plain, other, strict=False):
            lost = [place for place in expected if place in got and got[place] != expected[place]]
            if lost:
                self.find(kind, callable_, re_root(lost[0]), "", f"other results at {lost[:2]}, in {name}")
                return
        if failed is not None:
            self.find(kind, other[-1][0], "", "", f"{type(failed).__name__}: {failed!s:.120}, in {name}")


def run(recipe, handler, made, after):
    """The error that ends a recipe, None if it ends by itself."""
    fd.random.seed(0)
    tap.handler = handler
    try:
        recipe()
        after(made)
    except Exception as error:
        return error
    finally:
        tap.handler = None
    return None


def chosen():
    """Of the benchmarks' cases those of one type; what methods the objects they make have, examples call as well."""
    for name, recipe in recipes().items():
        if not name.startswith("case:"):
            yield name, recipe, exercise
        elif name.endswith("float32"):
            yield name, recipe, lambda made: None


def main():
    open_taps()
    audit = Audit()
    with quiet():
        warnings.simplefilter("ignore")
        for name, recipe, after in chosen():
            made, before = [], len(audit.tried)
            run(recipe, functools.partial(audit.refusals, made), made, after)
            if len(audit.tried) == before:
                continue
            audit.compare("memmap", name, recipe, as_memmaps, after)
            audit.compare("0-d array", name, recipe, as_arrays, after)
    print(json.dumps({"findings": audit.findings, "tried": sorted({one[:3] for one in audit.tried})}))


if __name__ == "__main__":
    main()
