"""One-to-many: four voices in the manner of Bach's chorales, out of nothing but a start.

An LSTM reads a piano roll, 88 keys a quarter note, and gives each key's probability in the next one, independent of the
others (Boulanger-Lewandowski et al. 2012). It is measured by the negative log likelihood a frame of held-out pieces, as
Bai et al. (2018) did: from the second frame on. Their LSTM has 8.45, their GRU 8.43, their RNN 8.91 on the JSB file.
`--jsb FILE` reads that file. Without it music21's edition of 317 of its 382 pieces is read, whose figures stand beside
those and not against them. `--cell` takes a GRU or RNN instead. Settings, and when to stop, were chosen on the
validation part; copies in other keys did not help there. New music is drawn frame by frame given that four keys sound,
written as MIDI, and drawn below a real piece.
"""

import numpy as np
from _common import arguments
from _music import LOWEST, draw, write

import fastdl as fd

VOICES = 4
LOUD = 5  # the input of a key that sounds: only four of 88 do, and at 1 the net takes twice as long to hear them


def pairs(rolls):
    """Inputs and targets: silence and all frames but the last, and all frames."""
    return [LOUD * np.vstack([np.zeros_like(roll[:1]), roll[:-1]]) for roll in rolls], rolls


def frame_losses(model, rolls):
    """Of each piece the negative log likelihood (T,) of its frames, in nats."""
    logits = fd.training.predict(model, pairs(rolls)[0])
    return [(np.logaddexp(0, z) - z * roll).sum(1) for z, roll in zip(logits, rolls, strict=True)]


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
        roll[0, 0, keys] = LOUD
        voices.append([LOWEST + key for key in reversed(keys)])
    return np.array(voices)


def main(argv=None):
    parser = arguments(__doc__)
    parser.add_argument("--jsb", metavar="FILE", help="jsb-chorales-quarter.json (music21's edition)")
    parser.add_argument("--cell", default="LSTM", choices=("LSTM", "GRU", "RNN"), help="(%(default)s)")
    options = parser.parse_args(argv)
    data = fd.datasets.jsb_chorales(options.jsb) if options.jsb else fd.datasets.chorales()
    train, valid, test = (part[-1] for part in (data.train, data.valid, data.test))
    hidden, epochs = (32, 2) if options.quick else (200, 50)
    rng = fd.random.Generator(options.seed)
    cell = getattr(fd.nn, options.cell)(88, hidden, rng=rng)
    drops = [fd.nn.Dropout(share, rng=rng) for share in (0.1, 0.3)]
    model = fd.nn.Sequential(drops[0], cell, drops[1], fd.nn.Linear(hidden, 88, rng=rng))
    optimizer = fd.optim.Adam(model.parameters(), lr=4e-3)
    schedule = fd.optim.schedules.cosine(epochs * -(-len(train) // 4))
    settings = {"loss": fd.binary_cross_entropy_with_logits, "schedule": schedule, "max_norm": 1.0, "progress": False}
    average = fd.optim.ExponentialAverage(model.parameters(), decay=0.995)
    kept = {"validation": pairs(valid), "restore_best": True, "average": average, "seed": options.seed}
    fd.training.fit(model, optimizer, pairs(train), epochs=epochs, batch_size=4, **settings, **kept)
    results = {}
    for name, some in (("valid", valid), ("test", test)):
        losses = frame_losses(model, some)
        results[f"{name} NLL"] = float(np.concatenate([one[1:] for one in losses]).mean())
        print(f"nats a frame, {name}: {results[f'{name} NLL']:.3f}, {np.concatenate(losses).mean():.3f} with the first")
    voices = compose(model, 64, options.seed)
    write(voices, options.out / "chorale.mid")
    draw(test[0], voices, options.out / "chorale.png")
    return results


if __name__ == "__main__":
    main()
