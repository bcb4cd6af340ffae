"""Numbers of equations become links: (3.4) leads to the line of the topic page that states it.

A number is stated where its topic's page first names it in brackets. A number that no page states is a warning, which
`make docs` takes for an error. "docs/norms.md 1.12" in a docstring leads to the page's equation too.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

LOGGER = logging.getLogger(__name__)
DOCS = Path(__file__).parents[1]
SPECIFIED = {  # page, and the numbers that it states
    "norms": [f"1.{i}" for i in range(1, 13)],
    "curvature": [f"2.{i}" for i in range(1, 8)],
    "optim": sorted(set(re.findall(r"^\| \((3\.\d+)\)", (DOCS / "optim.md").read_text(), re.M))),
    "dropout": [f"4.{i}" for i in range(1, 7)],
    "recurrent": [f"5.{i}" for i in (1, *range(3, 13))],
    "models": ["5.2"],
    "dense": [f"6.{i}" for i in (*range(1, 5), *range(7, 14), 15, 16, 20, 21)],
    "sequence": ["6.5", "6.6", "6.22", "6.23"],
    "metrics": [f"8.{i}" for i in range(1, 21)],
    "plots": ["8.21"],
}
PAGE_OF = {number: page for page, numbers in SPECIFIED.items() for number in numbers}
CITED = re.compile(
    r"\bdocs/(?P<page>[a-z-]+)\.md(?: \(?(?P<of>\d\.\d{1,2})\)?)?|(?<![\d.])(?P<number>\d\.\d{1,2})(?=[),])"
)
IN_BRACKETS = re.compile(r"\([^()]*\)")
PLACES = (nodes.literal, nodes.literal_block, nodes.reference, nodes.math, nodes.math_block, nodes.title)


def anchor(number):
    return "eq-" + number.replace(".", "-")


def bracketed(text, number):
    """Whether text names the number in brackets, alone or in a list such as "(1.9, 1.10)"."""
    return any(number in re.findall(r"\d\.\d+", part) for part in IN_BRACKETS.findall(text))


def state(app, doctree):
    """Give the first place of each number of this page an anchor."""
    for number in SPECIFIED.get(app.env.docname, ()):
        for text in doctree.findall(nodes.Text):
            if bracketed(text.astext(), number) and not isinstance(text.parent, nodes.literal_block):
                text.parent["ids"].append(anchor(number))
                break
        else:
            LOGGER.warning("equation (%s) is stated nowhere in this page", number, location=app.env.docname)


class Link(SphinxPostTransform):
    """Replace cited numbers by links."""

    default_priority = 900

    def run(self, **_):
        for text in list(self.document.findall(nodes.Text)):
            if not any(isinstance(parent, PLACES) for parent in self._parents(text)):
                self._replace(text)

    @staticmethod
    def _parents(node):
        while node.parent is not None:
            node = node.parent
            yield node

    def _replace(self, text):
        said, parts, end = text.astext(), [], 0
        for match in CITED.finditer(said):
            page, number = self._target(match, said, text.parent)
            if page is None:
                continue
            parts.append(nodes.Text(said[end : match.start()]))
            words = nodes.inline("", match[0])
            place = anchor(number) if number else ""
            parts.append(make_refnode(self.app.builder, self.env.docname, page, place, words))
            end = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(said[end:])])

    def _target(self, match, said, place):
        if match["page"]:
            page = match["page"] if match["page"] in self.env.found_docs else None
            return page, match["of"] if PAGE_OF.get(match["of"]) == page else None
        number = match["number"]
        inside = any(m.start() < match.start() < m.end() for m in IN_BRACKETS.finditer(said))
        page = PAGE_OF.get(number) if inside else None
        here = page == self.env.docname and anchor(number) in place["ids"]  # the line that states it
        return (None, None) if here else (page, number)


def setup(app):
    app.connect("doctree-read", state)
    app.add_post_transform(Link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
