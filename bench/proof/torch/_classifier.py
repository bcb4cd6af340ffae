"""``fd.models.SequenceClassifier`` in torch: the same layers, loss, steps and rates."""

import numpy as np
import torch
from _common import arguments
from torch import nn


class SequenceClassifier(nn.Module):
    """Noise, an LSTM, dropout and a linear layer on the state at each sequence's end."""

    def __init__(self, features, classes, hidden=128, dropout=0.3, noise=0.0, layers=1, bidirectional=False):
        super().__init__()
        self.noise, self.directions = noise, 1 + bidirectional
        between, width = dropout if layers > 1 else 0.0, hidden // self.directions
        self.lstm = nn.LSTM(features, width, layers, dropout=between, bidirectional=bidirectional, batch_first=True)
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(hidden, classes)

    def forward(self, x, lengths=None):
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        if lengths is not None:
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(x)
        return self.linear(self.dropout(torch.cat(tuple(h[-self.directions :]), 1)))


def batch(x, chosen):
    """One array, or padded sequences and their lengths."""
    if isinstance(x, torch.Tensor):
        return (x[chosen],)
    some = [x[k] for k in chosen]
    return nn.utils.rnn.pad_sequence(some, batch_first=True), torch.tensor([len(one) for one in some])


def fit(model, x, y, epochs, batch_size=32, learning_rate=5e-3, weight_decay=0.05, label_smoothing=0.1):
    """AdamW under a one-cycle schedule, gradients clipped to norm 1, in a new order each epoch."""
    steps = epochs * -(-len(x) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, cycle_momentum=False)
    loss_of = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            loss_of(model(*batch(x, chosen)), y[chosen]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            cycle.step()


def tensors(x):
    """Of an array, or of each sequence of a list."""
    return torch.tensor(x, dtype=torch.float32) if isinstance(x, np.ndarray) else [tensors(one) for one in x]


def program(read, model, **settings):
    """A ``main`` that fits the model to what `read` gives and tests it: ((x, y), (x, y)). It draws no picture."""

    def main(argv=None):
        options = arguments("The example of this name, in torch.").parse_args(argv)
        (x, y), (test, wanted) = read()
        torch.manual_seed(options.seed)
        network = SequenceClassifier(**model)
        fit(network, tensors(x), torch.as_tensor(y), **settings)
        network.eval()
        with torch.no_grad():
            logits = [network(*batch(tensors(test), part)) for part in torch.arange(len(test)).split(256)]
        accuracy = float((torch.cat(logits).argmax(1).numpy() == wanted).mean())
        print(f"named rightly: {accuracy:.4f} of {len(wanted):,}")
        return {"accuracy": accuracy, "parameters": sum(one.numel() for one in network.parameters())}

    return main
