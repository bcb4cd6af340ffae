"""The pictures of full runs, small enough to be kept in docs/gallery/pictures."""

from pathlib import Path

from records import ROOT

FOLDER = ROOT / "docs" / "gallery" / "pictures"
WIDTH, MOST = 720, 60_000  # pixels, bytes


def keep(folder: Path, example: str, kept: Path = FOLDER) -> list[Path]:
    """Shrink the pictures of a run: as wide as a page, of few colours."""
    from PIL import Image

    kept.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(folder.glob("*.png")):
        target, colours = kept / f"{example}-{path.name}", 64
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((WIDTH, 2 * WIDTH))
        while True:
            small.quantize(colours).save(target, optimize=True)
            if target.stat().st_size <= MOST:
                break
            colours //= 2
            if colours < 8:
                raise ValueError(f"{path}: is over {MOST:,} bytes in {2 * colours} colours and {WIDTH} pixels of width")
        written.append(target)
    return written
