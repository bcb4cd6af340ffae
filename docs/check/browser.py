"""Reads the built site in Chromium: `make docs-check`.

Every page, at 375 and 1,440 pixels: it loads, the console shows no error, no request fails, no picture is broken,
nothing is wider than the screen, and text stands out from its ground, dark and light. Some pages are pictured. The
search finds a name.
"""

import argparse
import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = (375, 1440)
LOOKS = ((375, "light"), (1440, "light"), (1440, "dark"))
PICTURED = ("index", "start", "norms", "learn/lstm", "gallery/many_to_one_sunspots", "api/optim", "coming/pytorch",
            "how/index", "api/generated/fastdl.optim.Adam")  # fmt: skip
WIDER = """() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return null;
    const all = [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > wide + 1);
    return all.length ? all[0].outerHTML.slice(0, 120) : "something outside the text";
}"""
# Text whose contrast with what is behind it is below 4.5, or 3 where it is large (WCAG 2.2, 1.4.3).
FAINT = """() => {
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const over = (top, ground) => ground.map((v, k) => top[k] * (top[3] ?? 1) + v * (1 - (top[3] ?? 1)));
    const behind = (one) => {
        if (!one) return [255, 255, 255];
        const own = parts(getComputedStyle(one).backgroundColor);
        return (own[3] ?? 1) === 1 ? own.slice(0, 3) : over(own, behind(one.parentElement));
    };
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), seen = new Set();
    while (walker.nextNode()) {
        const one = walker.currentNode.parentElement;
        if (seen.has(one) || !walker.currentNode.data.trim()) continue;
        if (!one.checkVisibility({visibilityProperty: true})) continue;
        if (one.closest("mjx-assistive-mml, svg, script, style, button, .search-button__kbd-shortcut")) continue;
        seen.add(one);
        const style = getComputedStyle(one), ground = behind(one), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const [low, high] = [light(over(parts(style.color), ground)), light(ground)].sort((a, b) => a - b);
        if ((high + 0.05) / (low + 0.05) < (large ? 3 : 4.5))
            return `${((high + 0.05) / (low + 0.05)).toFixed(2)}: ${one.outerHTML.slice(0, 120)}`;
    }
    return null;
}"""
BROKEN = """() => [...document.images].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"""


def served(folder):
    """A server of the folder, in a thread, and its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def failed(page, asked, found):
    if "ERR_ABORTED" not in (asked.failure or ""):  # as by going to the next page
        found.append(f"{page.url}: not loaded: {asked.url}")


def watch(page, found):
    """Append to found what goes wrong in the page from now on."""
    page.on("console", lambda said: found.append(f"{page.url}: console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: found.append(f"{page.url}: error: {error}"))
    page.on("requestfailed", lambda asked: failed(page, asked, found))
    page.on(
        "response",
        lambda answer: found.append(f"{page.url}: {answer.status}: {answer.url}") if answer.status >= 400 else None,
    )


def read(browser, address, names, found):
    for width, theme in LOOKS:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        watch(page, found)
        for name in names:
            page.goto(address + name, wait_until="load")
            page.evaluate("() => window.MathJax?.startup?.promise")  # formulas have their width only then
            if wider := page.evaluate(WIDER):
                found.append(f"{name} at {width}: wider than the screen: {wider}")
            if faint := page.evaluate(FAINT):
                found.append(f"{name}, {theme}: too little contrast, {faint}")
            found.extend(f"{name}: broken picture {source}" for source in page.evaluate(BROKEN))
        page.close()


def search(browser, address, found, word="clip_grad_norm_"):
    page = browser.new_page()
    watch(page, found)
    page.goto(f"{address}search.html?q={word}")
    page.wait_for_function("() => document.querySelectorAll('ul.search li a').length", timeout=20_000)
    links = [link.get_attribute("href") for link in page.query_selector_all("ul.search li a")]
    if not any(word in link for link in links):
        found.append(f"search: {word} finds {links[:5]}")
    page.close()


def picture(browser, address, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
            for name in PICTURED:
                page.goto(f"{address}{name}.html")
                page.evaluate("() => window.MathJax?.startup?.promise")
                page.screenshot(path=folder / f"{name.replace('/', '-')}-{theme}-{width}.png")
            page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of some pages")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    names = [str(path.relative_to(options.site)) for path in sorted(options.site.rglob("*.html"))]
    names = [name for name in names if not name.startswith(("_static", "_modules"))]
    server, address = served(options.site)
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        read(browser, address, names, found)
        search(browser, address, found)
        if options.pictures:
            picture(browser, address, options.pictures)
        browser.close()
    server.shutdown()
    print("\n".join(dict.fromkeys(found)) or f"{len(names)} pages at {len(WIDTHS)} widths: nothing amiss")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
