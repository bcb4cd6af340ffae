"""Every link and picture of a built site that leads into the site: does it lead somewhere? `make docs` asks.

And is there a picture for each alt text that a notebook's cell promises?
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the ids it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.unsaid, self.said = [], set(), [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        if tag == "img" and not found.get("alt"):
            self.unsaid.append(found.get("src"))
        elif tag == "img":
            self.said.add(found["alt"])


def dead(folder):
    """Sentences about links that lead nowhere, and pictures without words for who does not see them."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}
    for path, page in pages.items():
        for source in page.unsaid:
            yield f"{path.relative_to(folder)}: picture {source} has no alt text"
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{path.relative_to(folder)}: {link} is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{path.relative_to(folder)}: {link} names no place of that page"


def undrawn(folder):
    """Sentences about pictures that a page's source describes and the page has not."""
    for source in sorted((folder / "_sources").rglob("*.md.txt")):
        page = folder / source.relative_to(folder / "_sources").with_suffix("").with_suffix(".html")
        promised = re.findall(r"^    alt: \"?(.+?)\"?$", source.read_text(encoding="utf-8"), re.MULTILINE)
        for words in set(promised) - (Page(page).said if promised else set()):
            yield f"{page.relative_to(folder)}: the picture '{words}' was not drawn"


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    found = [*dead(site), *undrawn(site)]
    print("\n".join(found) or "every link within the site leads somewhere")
    sys.exit(bool(found))
