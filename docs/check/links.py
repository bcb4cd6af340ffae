"""Every link and picture of a built site that leads into the site: does it lead somewhere? `make docs` asks."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the ids it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.unsaid = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        if tag == "img" and not found.get("alt"):
            self.unsaid.append(found.get("src"))


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


if __name__ == "__main__":
    found = list(dead(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "every link within the site leads somewhere")
    sys.exit(bool(found))
