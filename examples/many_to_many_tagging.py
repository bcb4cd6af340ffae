"""Many-to-many, synchronised: the words of Python source tagged by their role.

The sentences are the logical lines of modules of the standard library; the tags come from its own tokenizer and
parser: a name may be a function being defined, a parameter, an attribute, a call, ... Other modules are held out, whose
names are often new, so that what stands around a word has to tell. The baseline gives every word its commonest tag.
"""

import ast
import io
import keyword
import sysconfig
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from _common import arguments, size

import fastdl as fd

# fmt: off
TRAIN = [
    "argparse", "ast", "calendar", "cmd", "code", "codecs", "collections", "configparser", "copy", "csv", "dataclasses",
    "datetime", "difflib", "doctest", "enum", "filecmp", "fileinput", "fractions", "ftplib", "functools", "getopt",
    "gettext", "glob", "gzip", "heapq", "imaplib", "inspect", "mailbox", "mimetypes", "netrc", "optparse", "os",
    "pathlib", "pdb", "pickle", "pickletools", "platform", "plistlib", "poplib", "pprint", "profile", "pstats",
    "pyclbr", "pydoc", "random", "shutil", "smtplib", "socket", "ssl", "statistics", "subprocess", "tarfile",
    "threading", "traceback", "turtle", "unittest.case",
]
TEST = [
    "bdb", "contextlib", "decimal", "dis", "fnmatch", "ipaddress", "locale", "queue", "selectors", "shelve", "string",
    "tempfile", "textwrap", "zipfile",
]
# fmt: on
LONGEST = 80  # words of a line that are kept
OTHER = "other name"


def roles(tree):
    """(line, column) of a name -> its role, from the syntax tree."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.setdefault((node.lineno, node.col_offset), OTHER if isinstance(node.ctx, ast.Load) else "assigned")
        elif isinstance(node, ast.Attribute):
            found.setdefault((node.end_lineno, node.end_col_offset - len(node.attr)), "attribute")
        elif isinstance(node, ast.arg):
            found[node.lineno, node.col_offset] = "parameter"
        elif isinstance(node, ast.keyword) and node.arg:
            found[node.lineno, node.col_offset] = "argument"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found[node.func.lineno, node.func.col_offset] = "call"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found[node.func.end_lineno, node.func.end_col_offset - len(node.func.attr)] = "method"
    return found


def source_of(module):
    """A module's source, "" where this release of Python has none."""
    base = Path(sysconfig.get_path("stdlib"), *module.split("."))
    found = [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()]
    return found[0].read_text(encoding="utf-8") if found else ""


def tagged_lines(source):
    """[(word, tag), ...] of each logical line; strings and numbers are one word each."""
    of_names, line, before = roles(ast.parse(source)), [], ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            yield line[:LONGEST]
            line = []
        elif token.type == tokenize.OP:
            line.append((token.string, "operator"))
        elif token.type == tokenize.NUMBER:
            line.append(("0", "number"))
        elif token.type == tokenize.STRING:
            line.append(('""', "string"))
        elif token.type == tokenize.NAME and keyword.iskeyword(token.string):
            line.append((token.string, "keyword"))
        elif token.type == tokenize.NAME:
            defined = {"def": "function", "class": "class"}.get(before)
            line.append((token.string, defined or of_names.get(token.start, "module")))
        before = token.string


def lines_of(modules):
    return [line for module in modules for line in tagged_lines(source_of(module)) if line]


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    train, test = (lines_of(names[:2] if options.quick else names) for names in (TRAIN, TEST))
    counts = Counter(word for line in train for word, _ in line)
    words = {word: code for code, word in enumerate((w for w, n in counts.items() if n > 1), 1)}  # 0: all others
    tags = {tag: code for code, tag in enumerate(sorted({tag for line in train + test for _, tag in line}))}

    def encoded(lines):
        sentences = [np.array([words.get(word, 0) for word, _ in line]) for line in lines]
        return sentences, [np.array([tags[tag] for _, tag in line]) for line in lines]

    model = fd.models.Tagger(len(words) + 1, len(tags), rng=options.seed)
    model.fit(*encoded(train), epochs=1 if options.quick else 4, progress=not options.quick)
    sentences, wanted = encoded(test)
    found = model.predict(sentences)

    commonest = defaultdict(lambda: OTHER)
    pairs = defaultdict(Counter)
    for word, tag in (pair for line in train for pair in line):
        pairs[word][tag] += 1
    commonest.update({word: tally.most_common(1)[0][0] for word, tally in pairs.items()})
    names = np.array([tag not in ("operator", "keyword", "string", "number") for line in test for _, tag in line])
    right = np.concatenate([one == other for one, other in zip(found, wanted, strict=True)])
    baseline = np.array([commonest[word] == tag for line in test for word, tag in line])
    print(
        f"{sum(map(len, train)):,} words to train on, {right.size:,} held out in {len(test):,} lines, {len(tags)} tags"
    )
    print(f"all words: {right.mean():.4f}, commonest tag of each word {baseline.mean():.4f}")
    print(f"names only: {right[names].mean():.4f}, commonest tag of each word {baseline[names].mean():.4f}")
    results = {"all": right.mean(), "names": right[names].mean(), "baseline": baseline[names].mean()}
    return {name: float(value) for name, value in results.items()} | {"parameters": size(model)}


if __name__ == "__main__":
    main()
