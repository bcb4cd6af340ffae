"""Bach's chorales: music21's in the split of JSB, and the JSB file itself where the user has it."""

import io
import json
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np

from .._files import PathLike, name_of, open_regular
from .._validate import flag
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing

_MUSIC21 = Source(
    package="PyPI's music21 9.9.1",
    command="pip download --no-deps music21==9.9.1",
    licence="the corpus is licensed for use with music21, some of it not for commercial use: read it in place",
    module="music21",
    archives=("music21-*.whl",),
)
_MUSIC21_SHA = "98fb4312822012cf259ba6292b1f05064e9ab5bb12673b2042ff035f993abc74"
# The pieces of the JSB chorales' published split (229, 76, 77) that are surely among music21's, by their BWV numbers.
_SPLIT = {
    "train": """
        101.7 104.6 108.6 116.6 119.9 120.6 122.6 123.6 124.6 125.6 135.6 139.6 144.3 144.6 145.5 146.8
        153.1 153.5 155.5 156.6 157.5 16.6 162.6-lpz 164.6 165.6 178.7 180.7 183.5 187.7 190.7 194.12 194.6
        229.2 244.10 244.25 244.29-a 244.37 244.40 244.54 244.62 245.11 245.22 245.26 245.28 245.3 245.40
        248.12-2 248.28 248.33-3 254 255 257 259 26.6 260 262 263 265 266 267 272 273 277 278 28.6 282 283
        284 285 286 29.8 293 295 296 297 299 3.6 300 301 303 304 305 308 309 312 313 320 321 322 325 33.6
        330 332 333 334 335 336 337 342 343 344 345 346 348 349 352 353 356 358 360 363 364 368 369 370 372
        373 374 375 376 377 379 38.6 380 381 382 384 385 386 387 388 389 39.7 390 392 394 395 396 397 399
        4.8 40.3 40.6 401 402 403 406 407 409 412 413 415 42.7 421 422 424 425 426 427 428 432 433 436 437
        44.7 47.5 48.3 48.7 5.7 55.5 6.6 64.2 65.2 66.6 67.4.xml 70.7 72.6 73.5 74.8 80.8 81.7 83.5 86.6
        89.6 92.9 94.8 96.6
    """,
    "valid": """
        10.7 103.6 11.6 111.6 115.6 121.6 127.5 133.6 14.5 149.7 151.5 154.8 168.6 169.7 17.7 177.5 179.6
        188.6 2.6 226.2 244.46 245.17 25.6 258 261 264 268 269 275 281 287 288 302 307 310 314 315 318 319
        323 329 341 347 351 354 355 36.4-2 362 365 367 383 391 400 408 411 417 418 420 434 435 438 77.6 8.6
        88.7
    """,
    "test": """
        102.7 110.7 112.5 114.7 126.6 13.6 145-a 148.6 153.9 159.5 171.6 174.5 184.5 197.5 244.3 245.14
        248.17 248.46-5 248.53-5 256 270 276 289 290 291 292 294 298 306 311 317 32.6 331 338 339 340 350
        36.8-2 361 366 37.6 371 393 40.8 404 405 410 419 429 43.11 430 431 45.7 57.8 60.5 64.4 65.7 69.6-a
        7.7 78.7 85.6 87.7 9.7 90.5 93.7 99.6
    """,
}
_VOICES = ("soprano", "alto", "tenor", "bass")
_STEPS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
_LOWEST, _KEYS = 21, 88  # of a piano, as MIDI numbers them
_LARGEST = 2**24  # bytes of a score, unpacked; the longest has under a million


def chorales(path: PathLike | None = None, check: bool = True, transpose: bool = True) -> Dataset:
    """Four-part chorales of J. S. Bach in quarter notes, 317 of the 382 of the JSB split, in music21's edition.

    Editions differ in repeats and pick-ups, so figures stand beside those of the JSB file, not against them. Repeats
    are not played.

    Parameters
    ----------
    path : path, optional
        The wheel of music21 or a folder of its scores. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse files of another release.
    transpose : bool, default True
        Whether to move each piece by at most a tritone, so that its last bass note is a C, as in the JSB file.

    Returns
    -------
    Dataset
        train, valid and test: voices, a list of 187, 64 and 66 arrays (T, 4), int64, the MIDI numbers of soprano, alto,
        tenor and bass in every quarter, 0 for none; rolls, a list of arrays (T, 88), float32: 1 for every key of a
        piano that sounds.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    TypeError, ValueError
        If a file is damaged or of another release, or transpose is neither True nor False.

    References
    ----------
    N. Boulanger-Lewandowski, Y. Bengio, P. Vincent, "Modeling temporal dependencies in high-dimensional sequences",
    ICML 2012.

    Examples
    --------
    >>> import fastdl as fd
    >>> voices, rolls = fd.datasets.chorales().train  # doctest: +SKIP
    """
    transpose = flag("transpose", transpose)
    pieces = [(part, number) for part, some in _SPLIT.items() for number in some.split()]
    names = [f"music21/corpus/bach/bwv{one}" + ("" if one.endswith(".xml") else ".mxl") for _, one in pieces]
    found = find(_MUSIC21, path, names, _MUSIC21_SHA, check)
    parts: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {part: ([], []) for part in _SPLIT}
    for (part, number), content in zip(pieces, found.contents, strict=True):
        with parsing(f"{found.place}: bwv{number}", "a score of four voices"):
            voices = _score(content)
            voices = _transposed(voices) if transpose else voices
            parts[part][0].append(voices)
            parts[part][1].append(_roll(voices))
    columns, told = ("voices", "rolls"), found.told(_MUSIC21)
    return Dataset("chorales in quarter notes", parts, columns, (), {}, _MUSIC21.licence, told)


def jsb_chorales(path: PathLike) -> Dataset:
    """The JSB chorales with their published split, out of the file jsb-chorales-quarter.json that the user has.

    Parameters
    ----------
    path : path
        The file: for each of train, valid and test a list of pieces, each a list of frames, each a list of MIDI
        numbers.

    Returns
    -------
    Dataset
        train, valid and test: rolls, a list of 229, 76 and 77 arrays (T, 88), float32: 1 for every key of a piano that
        sounds in a quarter note.

    Raises
    ------
    TypeError
        If the path is none.
    ValueError
        If it is no such file.
    OSError
        If it cannot be read.

    References
    ----------
    N. Boulanger-Lewandowski, Y. Bengio, P. Vincent, "Modeling temporal dependencies in high-dimensional sequences",
    ICML 2012. S. Bai, J. Kolter, V. Koltun, "An empirical evaluation of generic convolutional and recurrent networks
    for sequence modeling", arXiv 1803.01271, 2018.

    Examples
    --------
    >>> import fastdl as fd
    >>> (rolls,) = fd.datasets.jsb_chorales("jsb-chorales-quarter.json").train  # doctest: +SKIP
    """
    place = name_of(path)
    with open_regular(place) as file:
        content = file.read(_LARGEST)
    parts = {}
    with parsing(place, "the JSB chorales in JSON"):
        given = json.loads(content)
        for name, count in (("train", 229), ("valid", 76), ("test", 77)):
            expect(len(given[name]) == count, f"{name} has {len(given[name])} pieces, not {count}")
            parts[name] = ([_roll_of(piece) for piece in given[name]],)
    title, licence = "JSB chorales in quarter notes", "none stated; the user's own file"
    return Dataset(title, parts, ("rolls",), (), {}, licence, place)


def _roll_of(frames: list[list[int]]) -> np.ndarray:
    roll = np.zeros((len(frames), _KEYS), np.float32)
    for row, notes in zip(roll, frames, strict=True):
        for note in notes:
            expect(isinstance(note, int) and _LOWEST <= note < _LOWEST + _KEYS, f"a piano has no key {note!r}")
            row[note - _LOWEST] = 1
    return roll


def _roll(voices: np.ndarray) -> np.ndarray:
    return _roll_of([[int(note) for note in frame if note] for frame in voices])


def _score(data: bytes) -> np.ndarray:
    """The four voices (T, 4), sampled at every quarter."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [one for one in archive.namelist() if one.endswith(".xml") and not one.startswith("META-INF")]
            expect(inside, "it has no score")
            with archive.open(inside[0]) as file:
                data = file.read(_LARGEST)
    expect(b"<!ENTITY" not in data and b"\0" not in data, "it defines entities, or is not of bytes that show it")
    root = ElementTree.fromstring(data)
    ids = {}
    for one in root.iter("score-part"):
        words = (one.findtext("part-name") or "").lower().split()
        ids[words[0] if words else ""] = one.get("id")
    expect(all(voice in ids for voice in _VOICES), "a voice is missing")
    of_part = {one.get("id"): one for one in root.findall("part")}
    voices = [_sampled(of_part[ids[voice]]) for voice in _VOICES]
    length = max(map(len, voices))
    expect(length, "it has no notes")
    return np.array([one + [0] * (length - len(one)) for one in voices], np.int64).T.copy()


def _sampled(part: ElementTree.Element) -> list[int]:
    """What a voice sings at every quarter from the beginning."""
    result: list[int] = []
    now, divisions = 0.0, 1  # in quarters; divisions of one
    for measure in part.iter("measure"):
        for one in measure:
            if one.tag == "attributes":
                divisions = int(one.findtext("divisions") or divisions)
            elif one.tag == "note" and one.find("grace") is None and one.find("chord") is None:
                now += int(one.findtext("duration") or 0) / divisions
                expect(now < 10_000, "it is too long")
                # It covers the quarters that begin within it.
                result += [_midi(one)] * (int(np.ceil(now - 1e-6)) - len(result))
    return result


def _midi(note: ElementTree.Element) -> int:
    pitch = note.find("pitch")
    if pitch is None:
        return 0  # a rest
    step, octave = pitch.findtext("step") or "", int(pitch.findtext("octave") or 0)
    result = 12 * (octave + 1) + _STEPS[step] + int(float(pitch.findtext("alter") or 0))
    expect(_LOWEST + 12 <= result < _LOWEST + _KEYS - 12, f"no voice sings {result}")
    return result


def _transposed(voices: np.ndarray) -> np.ndarray:
    """Moved by at most a tritone, so that the bass ends on C."""
    bass = voices[voices[:, 3] > 0, 3]
    expect(bass.size, "the bass is silent")
    shift = 6 - (int(bass[-1]) + 6) % 12
    return np.where(voices > 0, voices + shift, 0)
