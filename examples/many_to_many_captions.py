"""Many-to-many of different lengths: videos of digits being written, in words.

The pen strokes are real, the videos and captions made up, since no captions of real videos come in a package. An LSTM
reads the frames in both directions. A second one spells the caption letter by letter, and its attention looks over the
frames for each. Frames are moved by a pixel at random in training. Tested on strokes that were not trained on, the
caption has to be right in every letter; settings were chosen on a tenth of the training videos. The picture shows which
frames each letter looked at.
"""

import functools

import numpy as np
from _common import arguments
from _videos import BOUNDARY, IGNORED, LETTERS, PIXELS, draw, examples, flattened, moved

import fastdl as fd


class Captioner(fd.nn.Module):
    """Logits (L, B, 17) of the next letter, of videos (B, T, pixels), their lengths (B,) and the letters before."""

    def __init__(self, hidden, rng):
        super().__init__()
        self.see = fd.nn.Sequential(fd.nn.Linear(PIXELS**2, 64, rng=rng), fd.nn.ReLU(), fd.nn.Dropout(0.3, rng=rng))
        self.reader = fd.nn.LSTM(64, hidden // 2, bidirectional=True, rng=rng)
        self.embed = fd.nn.Embedding(BOUNDARY + 1, 32, rng=rng)
        self.writer = fd.nn.LSTM(32, hidden, rng=rng)
        self.attention = fd.nn.AdditiveAttention(hidden, hidden, 64, rng=rng)
        self.drop = fd.nn.Dropout(0.3, rng=rng)
        self.linear = fd.nn.Linear(2 * hidden, BOUNDARY + 1, rng=rng)

    def read(self, frames, lengths):
        return self.reader(self.see(frames.swapaxes(0, 1)), lengths=lengths)

    def write(self, before, source, lengths, state=None):
        h, state = self.writer(self.embed(before), state, return_state=True)
        seen, weights = self.attention(h, source, lengths, return_weights=True)
        return self.linear(self.drop(np.concatenate([h, seen], 2))), state, weights

    def forward(self, x):
        frames, lengths, before = x
        return self.write(before.T, self.read(frames, lengths), lengths)[0]


def captions(model, videos, longest=20):
    """What is read from each video, letter after letter, the likeliest each time."""
    frames, lengths = flattened(videos)
    source = model.eval().read(frames, lengths)

    def step(letters, state):
        logits, state, _ = model.write(letters[None], source, lengths, state)
        return logits[0], state

    first, state = np.full(len(videos), BOUNDARY), model.writer.initial_state(len(videos))
    return ["".join(LETTERS[k] for k in row) for row in fd.decode(step, first, state, longest, BOUNDARY)]


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.stroke_videos(200 if options.quick else 4000, seed=options.seed)
    model, epochs = Captioner(128, fd.random.Generator(options.seed)), 4 if options.quick else 20
    batches = fd.training.Examples(*examples(*data.train), batch_size=32, seed=options.seed)
    batches = fd.training.Augmented(batches, moved, options.seed)
    optimizer = fd.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = fd.optim.schedules.cosine(epochs * len(batches))
    loss = functools.partial(fd.softmax_cross_entropy, ignore_index=IGNORED)
    settings = {"loss": loss, "schedule": schedule, "max_norm": 1.0, "progress": False}
    fd.training.fit(model, optimizer, batches, epochs=epochs, **settings)
    videos, wanted = data.test
    found = captions(model, videos)
    right = np.array([one == other for one, other in zip(found, wanted, strict=True)])
    print(f"captions right in every letter: {right.mean():.4f} of {len(right)} videos")
    print("wrong are", "; ".join(f"{wanted[k]} read as {found[k]}" for k in np.flatnonzero(~right)[:3]))
    longest = max(range(len(videos)), key=lambda k: len(videos[k]))
    (frames, lengths, before), _ = examples(videos[longest : longest + 1], found[longest : longest + 1])
    *_, weights = model.write(before.T, model.read(frames, lengths), lengths)
    draw(videos[longest], found[longest], weights[:, 0], options.out / "captions.png")
    return {"exact": float(right.mean())}


if __name__ == "__main__":
    main()
