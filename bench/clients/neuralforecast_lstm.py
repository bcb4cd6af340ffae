"""neuralforecast's LSTM on the air passengers: its layer on torch and on fastdl, nothing else changed.

Run in an environment of its own: ``pip install torch==2.13.0``, then ``pip install neuralforecast`` with torch held at
that version by a constraint.
"""

import argparse
import logging
import time
import warnings

import numpy as np
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import LSTM
from neuralforecast.utils import AirPassengersDF

import fastdl as fd

HORIZON = 12


class Exchanged(LSTM):
    """The same model; its recurrent layer is exchanged once it is made."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)
        fd.interop.torch.replace(self)


def train(kind: type, seed: int, steps: int) -> tuple[float, float]:
    """Mean absolute error of the last year, and seconds of the processor for fitting."""
    frame = AirPassengersDF
    model = kind(
        h=HORIZON, input_size=24, max_steps=steps, loss=MAE(), scaler_type="standard", encoder_hidden_size=128,
        decoder_hidden_size=64, random_seed=seed, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    forecast = NeuralForecast(models=[model], freq="ME")
    begin = time.process_time()
    forecast.fit(frame.iloc[:-HORIZON])
    seconds = time.process_time() - begin
    expected = frame["y"].to_numpy()[-HORIZON:]
    return float(np.abs(forecast.predict()[kind.__name__].to_numpy() - expected).mean()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    fd.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {"LSTM": [], "Exchanged": []}
    for seed in range(given.seeds):
        for kind in (LSTM, Exchanged):  # in turn
            found[kind.__name__].append(train(kind, seed, given.steps))
            print(seed, kind.__name__, *(f"{one:.2f}" for one in found[kind.__name__][-1]), flush=True)
    for name, runs in found.items():
        errors, seconds = zip(*runs, strict=True)
        print(
            f"{name}: error {np.mean(errors):.2f} +- {np.std(errors):.2f}, {np.median(seconds):.1f} s of the processor"
        )


if __name__ == "__main__":
    main()
