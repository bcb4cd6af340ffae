"""sb3-contrib's RecurrentPPO on CartPole without velocities: its LSTM on torch and on fastdl, nothing else changed.

Run in an environment of its own: ``pip install torch==2.13.0 gymnasium pandas matplotlib cloudpickle`` and
``pip install --no-deps sb3-contrib stable-baselines3``, since the clients may ask for another torch.
"""

import argparse
import time

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import RecurrentPPO

import fastdl as fd


class WithoutVelocity(gym.ObservationWrapper):
    """Position of the cart and angle of the pole: what a policy without memory cannot balance by."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        low, high = (bound[[0, 2]] for bound in (env.observation_space.low, env.observation_space.high))
        self.observation_space = gym.spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation[[0, 2]]


def train(with_fastdl: bool, seed: int, steps: int) -> tuple[float, float, float]:
    """Mean return of the last 20 episodes, of the first 20, and seconds of the processor."""
    settings = {"lstm_hidden_size": 128, "enable_critic_lstm": True, "net_arch": []}
    model = RecurrentPPO(
        "MlpLstmPolicy", WithoutVelocity(gym.make("CartPole-v1")), seed=seed, n_steps=256, batch_size=128, n_epochs=8,
        learning_rate=1e-3, gae_lambda=0.95, policy_kwargs=settings, device="cpu",
    )  # fmt: skip
    if with_fastdl:
        fd.interop.torch.replace(model.policy)
    returns: list[float] = []

    def note(local: dict, _: dict) -> bool:
        returns.extend(info["episode"]["r"] for info in local["infos"] if "episode" in info)
        return True

    begin = time.process_time()
    model.learn(steps, callback=note)
    return float(np.mean(returns[-20:])), float(np.mean(returns[:20])), time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    fd.set_num_threads(1)
    found: dict[str, list[tuple[float, float, float]]] = {"torch": [], "fastdl": []}
    for seed in range(given.seeds):
        for name in found:  # in turn
            found[name].append(train(name == "fastdl", seed, given.steps))
            print(seed, name, *(f"{one:.1f}" for one in found[name][-1]), flush=True)
    for name, runs in found.items():
        last, _, seconds = zip(*runs, strict=True)
        print(f"{name}: return {np.mean(last):.1f} +- {np.std(last):.1f}, {np.median(seconds):.1f} s of the processor")


if __name__ == "__main__":
    main()
