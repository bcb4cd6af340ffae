"""Many-to-many: a simulated amplifier, learned from what goes in and what comes out.

It is a diode clipper (Yeh 2008), dV/dt = (V_in - V) / (R C) - 2 I_s / C sinh(V / (n V_t)), by the trapezoid rule with
Newton's steps at 8 x 48 kHz. An LSTM hears plucked strings, sweeps and noise at several levels through it, and learns
by the error-to-signal ratio, with learned initial states: a window's first samples only bring it into swing, then
gradients go back 512 samples and the states go on. The ratio for unheard strings is printed beside that of the best
gain. The sounds before, after and of the model are written as amplifier-*.wav, and the model as amplifier.nam.
"""

import numpy as np
from _common import arguments, pyplot, save, save_sound

import fastdl as fd

RATE, OVER, CHUNK, RC = 48_000, 8, 512, 2.2e3 * 10e-9  # samples a second, times so many, samples, seconds
LEAK, N_VT = 2 * 2.52e-9 / 10e-9, 45.3e-3  # 2 I_s / C in volts a second, and volts


def clipper(v_in):
    """The voltage across the diodes for inputs (T, B) in volts."""
    T, half = len(v_in), 0.5 / (RATE * OVER)
    fine = np.fft.irfft(np.fft.rfft(v_in, axis=0) * OVER, T * OVER, axis=0)  # band-limited
    v, slope, out = np.zeros(v_in.shape[1]), fine[0] / RC, np.empty_like(fine)
    for t, drive in enumerate(fine):
        known = v + half * (slope + drive / RC)
        for _ in range(12):  # bounded: far out a step of Newton's may be too long
            error = v + half * (v / RC + LEAK * np.sinh(v / N_VT)) - known
            step = (error / (1 + half * (1 / RC + LEAK / N_VT * np.cosh(v / N_VT)))).clip(-0.1, 0.1)
            v = v - step
            if abs(step).max() < 1e-6:
                break
        slope, out[t] = (drive - v) / RC - LEAK * np.sinh(v / N_VT), v
    return np.fft.irfft(np.fft.rfft(out, axis=0)[: T // 2 + 1] / OVER, T, axis=0)


def sound(rng, samples, kind):
    """A plucked string (Karplus and Strong 1983: noise, period after period smoothed), a sweep or noise, in volts."""
    t, periods = np.arange(samples) / RATE, 2 * [rng.uniform(-1, 1, rng.integers(60, 500))]
    while sum(map(len, periods)) < samples:
        periods.append(0.499 * (periods[-1] + np.append(periods[-2][-1], periods[-1][:-1])))
    others = np.sin(2 * np.pi * (40 * t + rng.uniform(500, 8000) * t**2)), rng.normal(0, 0.3, samples)
    return [np.concatenate(periods)[:samples], *others][kind] * rng.uniform(0.2, 3)


def train(model, x, y, epochs, burn_in, rng):
    optimizer, (lstm, head) = fd.optim.Adam(model.parameters(), lr=0.01), model
    for _ in range(epochs):
        for chosen in np.split(rng.permutation(x.shape[1]), range(16, x.shape[1], 16)):
            before, state = lstm.forward(x[:burn_in, chosen], return_state=True)
            for steps in (slice(begin, begin + CHUNK) for begin in range(burn_in, len(x), CHUNK)):
                h, state = lstm.forward(x[steps, chosen], state, return_state=True)
                _, dy = fd.error_to_signal_ratio(head.forward(h), y[steps, chosen], dc=1.0)
                _, dstate = lstm.backward(head.backward(dy), return_state=True, input_gradient=False)
                if steps.start == burn_in:  # on to the learned states
                    lstm.backward(np.zeros_like(before), dstate, input_gradient=False)
                fd.optim.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        optimizer.lr *= 0.995


def main(argv=None):
    options = arguments(__doc__).parse_args(argv)
    samples, count, epochs, burn_in, hidden = (2048, 16, 40, 512, 8) if options.quick else (48_000, 64, 60, 4096, 16)
    rng = np.random.default_rng(options.seed)
    v_in = np.stack([sound(rng, samples, 0 if b < 4 else max(0, b % 4 - 1)) for b in range(count + 4)], 1)
    (test, x), (wanted, y) = (np.split(v.astype(np.float32)[..., None], [4], 1) for v in (v_in, clipper(v_in)))
    model = fd.nn.Sequential(
        fd.nn.LSTM(1, hidden, learned_state=True, rng=options.seed), fd.nn.Linear(hidden, 1, rng=1)
    )
    train(model, x, y, epochs, burn_in, rng)
    signals = {"before": test, "after": wanted, "model": model.eval().forward(test)}
    guesses = {"LSTM": signals["model"], "best gain": test * (test * wanted).sum() / (test * test).sum()}
    ratios = {name: fd.error_to_signal_ratio(guess, wanted, pre_emphasis=0.0)[0] for name, guess in guesses.items()}
    print("error-to-signal ratio: " + ", ".join(f"{name} {value:.5f}" for name, value in ratios.items()))
    figure, axes = pyplot().subplots(3, sharex=True, figsize=(9, 7), layout="constrained")
    for axis, (name, signal) in zip(axes, signals.items(), strict=True):
        save_sound(signal[:, 0, 0], RATE, options.out / f"amplifier-{name}.wav")
        axis.specgram(signal[:, 0, 0] + 1e-9, NFFT=256, Fs=RATE, noverlap=192, vmin=-120, vmax=-30)
        axis.set(title=name, ylabel="Hz", xlabel="s")
    save(figure, options.out / "amplifier.png")
    fd.interop.audio.export_nam(model, options.out / "amplifier.nam", metadata={"name": "diode clipper"})
    return {f"explained by {name}": 1 - value for name, value in ratios.items()}


if __name__ == "__main__":
    main()
