"""Many-to-many of different lengths: videos of digits being written, in words.

The pen strokes are real, the videos and captions made up, since no captions of real videos come in a package. An LSTM
reads the frames in both directions. A second one spells the caption letter by letter, and its attention looks over the
frames for each. Frames are moved by a pixel at random in training. Tested on strokes that were not trained on, the
caption has to be right in every letter; settings were chosen on a tenth of the training videos. The picture shows which
frames each letter looked at.
"""

import functools

import numpy as np
from _common import arguments, pyplot, save
from _videos import BOUNDARY, IGNORED, LETTERS, PIXELS, examples, flattened, moved

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
    model.eval()

    def step(letters, state):
        logits, writer, _ = model.write(letters[None], state["source"], state["lengths"], state["writer"])
        return logits[0], {**state, "writer": writer}

    state = {
        "source": model.read(frames, lengths),
        "lengths": lengths,
        "writer": model.writer.initial_state(len(videos)),
    }
    first = np.full(len(videos), BOUNDARY)
    return ["".join(LETTERS[k] for k in row) for row in fd.decode(step, first, state, longest, BOUNDARY)]


def draw(model, video, caption, path):
    """The frames of a video, and below them how much each letter of its caption looked at each."""
    (frames, lengths, before), _ = examples([video], [caption])
    *_, weights = model.write(before.T, model.read(frames, lengths), lengths)
    figure, (above, below) = pyplot().subplots(2, figsize=(10, 6), height_ratios=(1, 4), layout="constrained")
    above.imshow(np.hstack([np.pad(frame, 1, constant_values=0.5) for frame in video]), cmap="gray_r")
    above.axis("off")
    names = [*caption.replace(" ", "_"), "end"]
    fd.plots.attention_map(weights[:, 0], source=range(1, len(video) + 1), target=names, ax=below)
    below.set(xlabel="frame", ylabel="letter")
    save(figure, path)


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    data = fd.datasets.stroke_videos(200 if options.quick else 2000, seed=options.seed)
    model, epochs = Captioner(32 if options.quick else 128, options.seed), 2 if options.quick else 20
    batches = fd.training.Examples(*examples(*data.train), batch_size=32, seed=options.seed)
    batches = fd.training.Augmented(batches, moved, options.seed)
    optimizer = fd.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = fd.optim.schedules.cosine(epochs * len(batches))
    loss = functools.partial(fd.softmax_cross_entropy, ignore_index=IGNORED)
    options_of_fit = {"loss": loss, "schedule": schedule, "max_norm": 1.0, "progress": False}
    fd.training.fit(model, optimizer, batches, epochs=epochs, **options_of_fit)
    videos, wanted = data.test
    found = captions(model, videos)
    right = np.array([one == other for one, other in zip(found, wanted, strict=True)])
    print(f"captions right in every letter: {right.mean():.4f} of {len(right)} videos")
    print("first wrong ones:", "; ".join(f"{wanted[k]} read as {found[k]}" for k in np.flatnonzero(~right)[:3]))
    longest = int(np.argmax([len(video) for video in videos]))
    draw(model, videos[longest], found[longest], options.out / "captions.png")
    return {"exact": float(right.mean())}


if __name__ == "__main__":
    main()
