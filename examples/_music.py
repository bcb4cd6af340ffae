"""Music as a picture, a piano roll, and as a file of MIDI, which players and notation programs read."""

import itertools

import numpy as np
from _common import pyplot, save

LOWEST = 21  # MIDI's number of a piano's first key
DIVISIONS = 480  # ticks of a quarter note
CHOIR = 52  # the instrument, "choir aahs"


def draw(real, voices, path):
    """A piano roll of a real piece, and of the new one, each voice in its colour."""
    figure, (above, below) = pyplot().subplots(2, figsize=(9, 6), sharex=True, sharey=True)
    steps, keys = np.nonzero(real[: len(voices)])
    above.scatter(steps, keys + LOWEST, s=16, c="k", marker="s")
    for one, name in zip(voices.T, ("soprano", "alto", "tenor", "bass"), strict=True):
        below.scatter(np.arange(len(one)), one, s=16, marker="s", label=name)
    above.set(title="a chorale of Bach", ylabel="key (MIDI)")
    below.set(title="written by the LSTM", xlabel="quarter note", ylabel="key (MIDI)")
    below.legend(ncols=4, fontsize="small")
    save(figure, path)


def write(voices, path, tempo=90):
    """Write voices (T, V), a MIDI number for every quarter note and 0 for a rest; a note that stays is held."""
    tracks = [_event(0, 0xFF, 0x51, 3, *(60_000_000 // tempo).to_bytes(3, "big"))]  # microseconds of a quarter
    tracks += [_track(channel, voice) for channel, voice in enumerate(voices.T.tolist())]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(_chunk(b"MThd", b"".join(one.to_bytes(2, "big") for one in (1, len(tracks), DIVISIONS))))
        for track in tracks:
            file.write(_chunk(b"MTrk", track + _event(0, 0xFF, 0x2F, 0)))  # the end of a track
    print(f"music: {path}")


def _track(channel, voice):
    """The notes of one voice; a rest only lets time pass."""
    events, waited = [_event(0, 0xC0 | channel, CHOIR)], 0
    for note, same in itertools.groupby(voice):
        length = DIVISIONS * len(list(same))
        if note:
            events += [_event(waited, 0x90 | channel, note, 80), _event(length, 0x80 | channel, note, 0)]
        waited = 0 if note else waited + length
    return b"".join(events)


def _event(ticks, *message):
    """A message after some ticks: seven bits of their number a byte, the last without the eighth."""
    digits = [ticks & 0x7F]
    while ticks := ticks >> 7:
        digits.insert(0, 0x80 | ticks & 0x7F)
    return bytes([*digits, *message])


def _chunk(name, content):
    return name + len(content).to_bytes(4, "big") + content
