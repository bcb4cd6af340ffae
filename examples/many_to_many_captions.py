"""Many-to-many of different lengths: videos of digits being written, in words.

The pen strokes are real, the videos and captions made up, since no captions of real videos come in a package. An LSTM
reads the frames in both directions. A second one spells the caption letter by letter, and its attention looks over the
frames for each. Frames are moved by a pixel at random in training. Tested on strokes that were not trained on, the
caption has to be right in every letter; settings were chosen on a tenth of the training videos. The picture shows which
frames each letter looked at.
"""

import numpy as np
from _common import arguments, pyplot, save

import fastdl as fd

LETTERS = " efghinorstuvwxz"
BOUNDARY = len(LETTERS)  # begins and ends a caption
IGNORED = -1  # past its end
PIXELS = 12


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


def padded(rows, fill):
    """Arrays of different lengths as one, (N, longest, ...)."""
    result = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), fill, rows[0].dtype)
    for place, row in zip(result, rows, strict=True):
        place[: len(row)] = row
    return result


def flattened(videos):
    """Frames as rows of pixels, (N, T, pixels), and the lengths."""
    return padded([one.reshape(len(one), -1) for one in videos], 0), np.array([len(one) for one in videos])


class Moving:
    """Batches in which every video is moved by up to a pixel along both axes, anew each epoch."""

    def __init__(self, videos, captions, seed):
        after = padded([np.array([*map(LETTERS.index, one), BOUNDARY]) for one in captions], IGNORED)
        before = np.roll(np.where(after == IGNORED, BOUNDARY, after), 1, 1)
        before[:, 0] = BOUNDARY
        self.batches = fd.training.Examples((*flattened(videos), before), after, batch_size=32, seed=seed)
        self.rng, self.epoch = np.random.default_rng(seed), 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for (frames, lengths, before), after in self.batches.iterate(self.epoch, 0):
            images = frames.reshape(*frames.shape[:2], PIXELS, PIXELS)
            moved = [np.roll(one, self.rng.integers(-1, 2, 2), (1, 2)) for one in images]
            yield (np.stack(moved).reshape(frames.shape), lengths, before), after.T.copy()
        self.epoch += 1
