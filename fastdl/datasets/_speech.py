"""Speech: two Japanese vowels by nine men, and spoken digits of two Debian packages."""

import io
import wave

import numpy as np

from .._files import PathLike
from .._validate import choice
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing

_AEON = Source(
    package="PyPI's aeon 1.6.0",
    command="pip download --no-deps aeon==1.6.0",
    licence="UCI's data sets are CC BY 4.0; aeon is BSD-3-Clause",
    module="aeon",
    archives=("aeon-*.whl",),
)
_AEON_SHA = "c755c99a2ac227123c34966a41b7940e802cdd6c360f7915e7c37cb8a781e821"
_SPHINX = Source(
    package="Debian's pocketsphinx-testdata",
    command="apt-get install pocketsphinx-testdata    (or, not as root: apt-get download pocketsphinx-testdata)",
    licence="BSD-2-Clause as packaged; recordings of TIDIGITS",
    debian=True,
    archives=("pocketsphinx-testdata_*.deb",),
)
_SPHINX_SHA = "a1bf750c56848c37a91bccbb398240a89be646bab41b0b41018debd42b2792a4"
# Who speaks, then what: digits, o for "oh", z for "zero", and the take.
_UTTERANCES = {
    "man.ah": "111a 1b 2934za 35oa 3oa 4625a 588zza 63a 6o838a 75913a 844o1a 8b 9b o789a z4548a zb",
    "woman.ak": "1b 276317oa 334a 3z3z9a 48z66zza 532a 5z874a 6728za 75a 84983a 8a 99731a o69a ooa za",
}
_VOICES = {  # language: folder, and the digest of its ten files
    "en": ("en_US_f_Allison", "d96284e2b926f17dd074447e877dd20634127a6cfd5853b93d6b100df429506a"),
    "es": ("es_MX_f_Allison", "080822f6cc5976238f9d68975b5fd28abd398877fe8f4a7361b241e83518737f"),
    "fr": ("fr_CA_f_June", "68e0a451f6b0c0cbfa5ec2309f061d5f221d57bddb87eb4ca7306bdcb9d35ca4"),
    "it": ("it_IT_m_Carlo", "421cbcccca195e4823976589bcfe675cd64ab3fec03d4afb8d518e812eccda98"),
    "ru": ("ru_RU_f_IvrvoiceRU", "f956fefee374298c535aed0df642b1521ab4936fe32c28c6af6ccc19c78dabb5"),
}


def japanese_vowels(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Nine men say two Japanese vowels, one after the other; the class is who it was.

    Parameters
    ----------
    path : path, optional
        The wheel of aeon, or a folder with its two .ts files. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse files of another release.

    Returns
    -------
    Dataset
        train and test: x, a list of 270 and 370 arrays (T, 12), float32, T from 7 to 29, the coefficients of a linear
        prediction's cepstrum; y (N,), int64.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If a file is damaged or of another release.

    References
    ----------
    M. Kudo, J. Toyama, M. Shimbo, "Multidimensional curve classification using passing-through regions", Pattern
    Recognition Letters 20, 1999.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.japanese_vowels().train  # doctest: +SKIP
    """
    folder = "aeon/datasets/data/JapaneseVowels/JapaneseVowels"
    found = find(_AEON, path, [f"{folder}_TRAIN.ts", f"{folder}_TEST.ts"], _AEON_SHA, check)
    with parsing(found.place, "JapaneseVowels in two .ts files"):
        parts = {
            name: _ts(one.decode("utf-8"), 12, 9) for name, one in zip(("train", "test"), found.contents, strict=True)
        }
    names, told = tuple(f"speaker {i}" for i in range(1, 10)), found.told(_AEON)
    return Dataset("JapaneseVowels: nine men's /ae/", parts, ("x", "y"), names, {}, _AEON.licence, told)


def connected_digits(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Thirty-one recordings of digits said one after the other, by a man and a woman: to test on, too few to train.

    Parameters
    ----------
    path : path, optional
        The .deb file, a folder it was unpacked to, or the folder of the .mfc files. Default: where Debian installs it,
        or FASTDL_DATA.
    check : bool, default True
        Whether to refuse files of another release.

    Returns
    -------
    Dataset
        test: x, a list of 31 arrays (T, 13), float32, mel-frequency cepstra at 100 frames a second (20 filters up to
        4 kHz); y, a list of 31 lists of int, the digits; 10 is "oh".

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`japanese_vowels`.

    References
    ----------
    R. Leonard, "A database for speaker-independent digit recognition", ICASSP 1984.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.connected_digits().test  # doctest: +SKIP
    """
    said = [(who, what) for who, some in _UTTERANCES.items() for what in some.split()]
    names = [f"usr/share/pocketsphinx/test/data/tidigits/{who}.{what}.mfc" for who, what in said]
    found = find(_SPHINX, path, names, _SPHINX_SHA, check)
    with parsing(found.place, "cepstra of Sphinx"):
        x = [_mfc(one) for one in found.contents]
    y = [["z123456789o".index(digit) for digit in what[:-1]] for _, what in said]
    digits, facts, told = (*"0123456789", "oh"), {"rate": "100 frames a second"}, found.told(_SPHINX)
    return Dataset("connected digits", {"test": (x, y)}, ("x", "y"), digits, facts, _SPHINX.licence, told)


def spoken_digits(voice: str = "en", path: PathLike | None = None, check: bool = True) -> Dataset:
    """The ten digits said by the voice of Asterisk's prompts in one of five languages: ten recordings, to test on.

    Parameters
    ----------
    voice : {"en", "es", "fr", "it", "ru"}, default "en"
        Language.
    path : path, optional
        The .deb file, a folder it was unpacked to, or the voice's folder. Default: where Debian installs it, or
        FASTDL_DATA.
    check : bool, default True
        Whether to refuse files of another release.

    Returns
    -------
    Dataset
        test: x, a list of ten arrays (samples,), float32 from -1 to 1, 8,000 samples a second; y (10,), int64.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`japanese_vowels`.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.spoken_digits("it").test  # doctest: +SKIP
    """
    folder, digest = _VOICES[choice("voice", voice, tuple(_VOICES))]
    package = f"asterisk-core-sounds-{voice}-wav"
    source = Source(
        package=f"Debian's {package}",
        command=f"apt-get install {package}    (or, not as root: apt-get download {package})",
        licence="CC BY 3.0" if voice == "ru" else "CC BY-SA 3.0",
        debian=True,
        archives=(f"{package}_*.deb",),
    )
    found = find(source, path, [f"usr/share/asterisk/sounds/{folder}/digits/{i}.wav" for i in range(10)], digest, check)
    with parsing(found.place, "ten .wav files of 16 bits"):
        part = [_wave(one) for one in found.contents], np.arange(10)
    names, facts, told = tuple("0123456789"), {"rate": "8000 samples a second"}, found.told(source)
    return Dataset(f"spoken digits: {folder}", {"test": part}, ("x", "y"), names, facts, source.licence, told)


def _ts(text: str, dimensions: int, classes: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cases of a .ts file: after @data a line each, the dimensions and then the class, with colons between."""
    head, marker, body = text.partition("@data")
    expect(marker and "@timeStamps false" in head, "it has no @data without time stamps")
    x, y = [], []
    for line in body.split():
        *values, label = line.split(":")
        expect(len(values) == dimensions, f"a case has {len(values)} dimensions, not {dimensions}")
        case = np.array([one.split(",") for one in values], np.float64).T
        expect(np.isfinite(case).all(), "a number is not finite")
        expect(1 <= int(label) <= classes, f"a class is not from 1 to {classes}")
        x.append(np.ascontiguousarray(case, np.float32))
        y.append(int(label) - 1)
    expect(x, "it has no cases")
    return x, np.array(y, np.int64)


def _mfc(data: bytes) -> np.ndarray:
    """The count of numbers and the numbers, 13 a frame, of four bytes each, the highest first."""
    count = int.from_bytes(data[:4], "big")
    expect(len(data) == 4 + 4 * count and count and count % 13 == 0, f"{len(data)} bytes, said to be {count} numbers")
    frames = np.frombuffer(data, ">f4", offset=4).astype(np.float32).reshape(-1, 13)
    expect(np.isfinite(frames).all(), "a number is not finite")
    return frames


def _wave(data: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(data)) as file:
        kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
        expect(kind == (1, 2, 8000), f"{kind} for channels, bytes and rate, not (1, 2, 8000)")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        expect(samples.size == file.getnframes(), "it is cut")
    return samples.astype(np.float32) / 32768
