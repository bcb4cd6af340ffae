"""Files that are like a valid one, and hostile: truncated, flipped, with another header, or no regular file at all."""

import json
import os
import random
import tempfile
from typing import Any

ODD: tuple[Any, ...] = (None, -1, 10**400, 1e400, "", "x", [], {}, [[[]]], True, 2**64, "\x1b]0;x\x07", {"x": [1]})


def mutate(rng: random.Random, path: str) -> tuple[str, Any]:
    """(what was done, the path of another file)."""
    kind = rng.choice(
        ("cut", "flip", "flip", "header", "header", "header", "length", "missing", "folder", "null", "empty")
    )
    if kind == "missing":
        return "file missing", path + ".none"
    if kind == "folder":
        return "file is a folder", os.path.dirname(path) or "."
    if kind == "null":
        return "file is /dev/null", "/dev/null"
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if kind == "empty" or not data:
        data = bytearray()
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "flip":
        for _ in range(rng.choice((1, 1, 1, 8))):
            data[rng.randrange(min(len(data), rng.choice((16, 2000, len(data)))))] ^= 1 << rng.randrange(8)
    elif kind == "length":
        data[:8] = rng.choice((0, 1, len(data), 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
    else:
        kind, data = _header(rng, data)
    handle, other = tempfile.mkstemp(suffix=os.path.basename(path))
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return f"file {kind}", other


def _header(rng: random.Random, data: bytearray) -> tuple[str, bytearray]:
    """One entry of a safetensors file's header, at any depth, is another; of other files, some bytes are."""
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
    except ValueError:
        at = rng.randrange(len(data))
        return "bytes", data[:at] + rng.randbytes(9) + data[at:]
    where = _edit(rng, header)
    text = json.dumps(header).encode()
    return f"header {where}", bytearray(len(text).to_bytes(8, "little") + text + bytes(data[8 + size :]))


def _edit(rng: random.Random, node: Any) -> str:
    """Change something below the node; where."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:
        return "nothing"
    key = rng.choice(keys)
    inner = node[key]
    if isinstance(inner, str) and inner[:1] in "{[" and rng.random() < 0.8:  # JSON in JSON, as our metadata is
        try:
            parsed = json.loads(inner)
        except ValueError:
            parsed = None
        if parsed:
            where = _edit(rng, parsed)
            node[key] = json.dumps(parsed)
            return f"{key}.{where}"
    if isinstance(inner, (dict, list)) and inner and rng.random() < 0.7:
        return f"{key}.{_edit(rng, inner)}"
    what = rng.random()
    if what < 0.2:
        del node[key]
        return f"{key} deleted"
    if what < 0.27:
        node[key] = json.loads("[" * 900 + "]" * 900)
        return f"{key} nested"
    node[key] = rng.choice(ODD)
    return f"{key} = {node[key]!r:.20}"
