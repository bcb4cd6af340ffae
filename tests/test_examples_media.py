"""What the examples of music, video and speech are made of."""

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import _music
import _videos
import _voices
import one_to_many_chorales as chorales


def notes_of(data):
    """(channel, key, start, end) of every note in a file of MIDI, in quarters."""
    kind, count, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    assert (data[:8], kind) == (b"MThd\0\0\0\6", 1)
    place, found = 14, []
    for _ in range(count):
        assert data[place : place + 4] == b"MTrk"
        place, end = place + 8, place + 8 + int.from_bytes(data[place + 4 : place + 8], "big")
        now, sounding = 0, {}
        while place < end:
            ticks = 0
            while True:
                byte = data[place]
                ticks, place = ticks << 7 | byte & 0x7F, place + 1
                if byte < 0x80:
                    break
            now, status, key = now + ticks, data[place], data[place + 1]
            if status == 0xFF:
                assert key in (0x51, 0x2F)
                place += 3 + data[place + 2]
            else:
                if status >> 4 == 9:
                    sounding[key] = now
                elif status >> 4 == 8:
                    found.append((status & 15, key, sounding.pop(key) / division, now / division))
                place += 2 if status >> 4 == 0xC else 3
        assert place == end
        assert not sounding
    return found


def test_a_file_of_midi_has_the_notes(tmp_path):
    voices = np.array([[60, 0], [60, 48], [62, 0], [0, 0], [0, 50], [64, 50]])
    path = tmp_path / "new" / "two.mid"
    _music.write(voices, path)
    wanted = [(0, 60, 0, 2), (0, 62, 2, 3), (0, 64, 5, 6), (1, 48, 1, 2), (1, 50, 4, 6)]
    assert notes_of(path.read_bytes()) == wanted


def test_four_keys_are_drawn_as_the_products_of_their_odds():
    logits, rng = np.array([0.3, -1.0, 1.2, 0.0, -0.4, 0.8]), np.random.default_rng(0)
    choices = list(itertools.combinations(range(6), 4))
    shares = np.array([np.exp(logits[list(one)].sum()) for one in choices])
    drawn = [choices.index(tuple(chorales.four_keys(logits, rng))) for _ in range(4000)]
    assert np.abs(np.bincount(drawn, minlength=15) / 4000 - shares / shares.sum()).max() < 0.025


def test_captions_are_letters_with_an_end_and_what_stood_before():
    videos = [np.ones((8, 12, 12), np.float32), np.ones((16, 12, 12), np.float32)]
    (frames, lengths, before), after = _videos.examples(videos, ["one", "two six"])
    assert frames.shape == (2, 16, 144)
    assert not frames[0, 8:].any()
    assert lengths.tolist() == [8, 16]
    text = ["".join("#" if k == _videos.BOUNDARY else _videos.LETTERS[k] for k in row if k >= 0) for row in after]
    assert text == ["one#", "two six#"]
    assert before[:, 0].tolist() == [_videos.BOUNDARY] * 2
    assert np.array_equal(before[1, 1:], after[1, :-1])


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_cepstra_of_a_tone_peak_at_its_filter_at_any_rate(rate):
    times = np.arange(rate) / rate
    found = _voices.cepstra(3000 * np.sin(2 * np.pi * 1000 * times) + np.cos(times), rate)
    assert found.shape == (98, 13)
    k = np.arange(13)[:, None]
    cosines = np.cos(np.pi * k * (np.arange(20) + 0.5) / 20) * np.sqrt(np.where(k, 2, 1) / 20)
    energies = (found @ cosines).mean(0)  # of the 20 filters, smoothed: seven of the coefficients are not kept
    mel = 2595 * np.log10(1 + np.array([1, 4000, 1000]) / 700)
    assert abs(energies.argmax() + 1 - (mel[2] - mel[0]) / (mel[1] - mel[0]) * 21) < 1


def test_without_a_synthesiser_it_is_said_how_to_get_one(monkeypatch):
    monkeypatch.setattr(_voices.shutil, "which", lambda name: None if name == "flite" else f"/usr/bin/{name}")
    with pytest.raises(FileNotFoundError, match="apt-get install flite"):
        _voices.utterances(1, 0)
