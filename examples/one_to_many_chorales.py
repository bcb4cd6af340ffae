"""One-to-many: four voices in the manner of Bach's chorales, out of nothing but a start.

An LSTM reads a piano roll, 88 keys a quarter note, and gives each key's probability in the next one, independent of the
others (Boulanger-Lewandowski et al. 2012). It is measured by the negative log likelihood a frame of held-out pieces, as
Bai et al. (2018) did: from the second frame on. Their LSTM has 8.45, their GRU 8.43, their RNN 8.91 on the JSB file.
`--jsb FILE` reads that file. Without it music21's edition of 317 of its 382 pieces is read, whose figures stand beside
those and not against them. Settings, and when to stop, were chosen on the validation part. New music is drawn frame by
frame given that four keys sound, written as MIDI, and drawn below a real piece.
"""

import numpy as np
from _common import arguments, pyplot, save
from _midi import write

import fastdl as fd

LOWEST, VOICES = 21, 4  # MIDI's number of the first key


def pairs(rolls):
    """Inputs and targets: silence and all frames but the last, and all frames."""
    return [np.vstack([np.zeros_like(roll[:1]), roll[:-1]]) for roll in rolls], rolls


def frame_losses(model, rolls):
    """Of each piece the negative log likelihood (T,) of its frames, in nats."""
    x, y = pairs(rolls)
    logits = fd.training.predict(model, x)
    return [(np.logaddexp(0, z) - z * roll).sum(1) for z, roll in zip(logits, y, strict=True)]


def four_keys(logits, rng):
    """Four keys, lowest first, of independent ones given that four sound: P is as the product of their odds."""
    odds = np.exp((logits - logits.max()).astype(float))
    ways = np.zeros((len(odds) + 1, VOICES + 1))  # the sum over all choices of k keys from the i-th on
    ways[:, 0] = 1
    for i in reversed(range(len(odds))):
        ways[i, 1:] = ways[i + 1, 1:] + odds[i] * ways[i + 1, :-1]
    keys = []
    for i, one in enumerate(odds):
        left = VOICES - len(keys)
        if left and rng.random() * ways[i, left] < one * ways[i + 1, left - 1]:
            keys.append(i)
    return keys


def compose(model, frames, seed, temperature=0.8):
    """Voices (frames, 4) as MIDI numbers, soprano first; a temperature below 1 makes the likely likelier."""
    rng, roll, state, voices = np.random.default_rng(seed), np.zeros((1, 1, 88), np.float32), None, []
    model.eval()
    for _ in range(frames):
        logits, state = model.forward(roll, state, return_state=True)
        keys = four_keys(logits[0, 0] / temperature, rng)
        roll = np.zeros_like(roll)
        roll[0, 0, keys] = 1
        voices.append([LOWEST + key for key in reversed(keys)])
    return np.array(voices)


def draw(real, voices, path):
    """A piano roll of a real piece, and of the new one, each voice in its colour."""
    figure, (above, below) = pyplot().subplots(2, figsize=(9, 6), sharex=True, sharey=True)
    steps, keys = np.nonzero(real[: len(voices)])
    above.scatter(steps, keys + LOWEST, s=16, c="k", marker="s")
    for one, name in zip(voices.T, ("soprano", "alto", "tenor", "bass"), strict=True):
        below.scatter(np.arange(len(one)), one, s=16, marker="s", label=name)
    above.set(title="a chorale of Bach", ylabel="key (MIDI)")
    below.set(title="written by the LSTM", xlabel="quarter note", ylabel="key (MIDI)")
    below.legend(ncols=VOICES, fontsize="small")
    save(figure, path)
