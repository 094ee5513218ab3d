"""Sound files and voice activity: files written by the standard library, tones and noise whose truth is known."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from llm_ros.voice.audio import RATE, AudioError, Resampler, from_s16le, read_wav, resample, to_s16le
from llm_ros.voice.vad import Detector, VadConfig


def tone(seconds, hertz=440.0, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def talk(seconds):
    """Sound that comes and goes five times a second, as syllables do."""
    level = np.sin(np.pi * 5 * np.arange(int(seconds * RATE)) / RATE) ** 2
    return (tone(seconds, 500) + tone(seconds, 1500)).astype(np.float32) * level.astype(np.float32)


def quiet(seconds):
    return np.zeros(int(seconds * RATE), np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 12345, 22050, 44100, 48000, 192000])
def test_a_resampled_tone_is_the_tone_at_the_new_rate(rate):
    got = resample(tone(0.5, 1000, rate), rate)
    assert len(got) == int(0.5 * rate) * RATE // rate
    assert np.abs(got - tone(0.5, 1000)[: len(got)])[400:-400].max() < 1e-4


def test_pieces_give_what_the_whole_gives():
    sound, resampler = tone(0.3, 700, 44100), Resampler(44100)
    pieces = [resampler.push(part) for part in np.array_split(sound, 37)]
    assert np.allclose(np.concatenate([*pieces, resampler.flush()]), resample(sound, 44100), atol=1e-6)


@pytest.mark.parametrize("width, channels", [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1)])
def test_a_wav_file_of_the_standard_library_is_read(tmp_path, width, channels):
    value = np.repeat(tone(0.2), channels) * (2.0 ** (8 * width - 1) - 1)
    data = (value + 128).astype("u1") if width == 1 else value.astype("<i8").view("u1").reshape(-1, 8)[:, :width]
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((channels, width, RATE, 0, "NONE", ""))
        file.writeframes(data.tobytes())
    assert np.allclose(
        np.concatenate(list(read_wav(tmp_path / "a.wav"))), tone(0.2), atol=2.0 ** (2 - 8 * width) + 1e-6
    )
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-1001])
    assert 0 < len(np.concatenate(list(read_wav(tmp_path / "cut.wav")))) < 0.2 * RATE


def test_what_is_no_usable_sound_is_refused_with_the_reason(tmp_path):
    good = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"
    for data, expected in (
        (b"", "no WAV file"),
        (b"RIFF\0\0\0\0WAVE", "no format"),
        (good + b"\1\0\1\0", "ends in its format"),
        (good + b"\1\0\1\0\1\0\0\0\2\0\0\0\2\0\x10\0", "sample rate = 1"),
        (good + b"\1\0\x09\0\x80\x3e\0\0\0\0\0\0\2\0\x10\0", "channels = 9"),
        (good + b"\7\0\1\0\x80\x3e\0\0\0\0\0\0\1\0\x08\0", "encoding 7"),
        (good + b"\1\0\1\0\x80\x3e\0\0\0\0\0\0\2\0\x10\0", "no sound"),
    ):
        (tmp_path / "bad.wav").write_bytes(data)
        with pytest.raises(AudioError, match=expected):
            list(read_wav(tmp_path / "bad.wav"))
    with pytest.raises(AudioError, match="cannot be read"):
        list(read_wav(tmp_path / "none.wav"))
    with pytest.raises(AudioError, match="3 bytes"):
        from_s16le(b"abc")
    assert np.allclose(from_s16le(to_s16le(tone(0.1))), tone(0.1), atol=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01])
def test_utterances_begin_and_end_where_the_sound_does(noise):
    sound = np.concatenate([quiet(3), talk(1.5), quiet(2), talk(0.8), quiet(1)])
    sound += noise * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    detector = Detector()
    found = [one for part in np.array_split(sound, 50) for one in detector.push(part)] + detector.flush()
    assert [round(one.start - begin) for one, begin in zip(found, (3.0, 6.5), strict=True)] == [0, 0]
    for one, begin, end in zip(found, (3.0, 6.5), (4.5, 7.3), strict=True):
        assert begin - 0.5 < one.start <= begin + 0.1 and end - 0.1 < one.start + one.duration < end + 0.5


def test_people_far_away_do_not_go_on_for_somebody_near():
    voices = np.random.default_rng(2).standard_normal(7 * RATE).astype(np.float32)  # in all bands, as a voice is
    level = np.sin(np.pi * 5 * np.arange(7 * RATE) / RATE).astype(np.float32) ** 2
    near = np.concatenate([quiet(4), (0.1 * voices * level)[: 3 * RATE // 2], quiet(1.5)])
    far = np.roll(0.01 * voices * level, 700)
    detector = Detector()
    found = [one for part in np.array_split(near + far, 140) for one in detector.push(part)]
    assert len(found) == 1
    assert 3.6 < found[0].start < 4.1 and 5.3 < found[0].start + found[0].duration < 5.7
    assert 5.3 < found[0].start + len(found[0].samples) / RATE < 6.0


def test_a_short_utterance_can_be_looked_at_before_its_pause_is_over():
    detector, looks = Detector(), []
    for number, part in enumerate(np.split(np.concatenate([quiet(1), talk(0.6), quiet(0.6), talk(3), quiet(2)]), 72)):
        assert not detector.push(part) or number * 0.1 > 5.0
        looks += [(number * 0.1, one.duration) for one in [detector.glance()] if one is not None]
    assert [round(when - duration) for when, duration in looks] == [1] and 1.7 < looks[0][0] < 2.1


def test_silence_steady_noise_hum_and_clicks_are_no_speech():
    noise = 0.05 * np.random.default_rng(1).standard_normal(8 * RATE).astype(np.float32)
    clicks = np.where(np.arange(8 * RATE) % RATE == 0, 0.9, 0).astype(np.float32)
    for sound in (quiet(8), noise, tone(8, 300), clicks, np.concatenate([quiet(3), noise])):
        detector = Detector()
        assert detector.push(sound) + detector.flush() == []


def test_endless_speech_is_cut_at_the_bound():
    detector = Detector(VadConfig(max_speech=2.0))
    found = detector.push(np.concatenate([quiet(1), talk(7)])) + detector.flush()
    assert found and found[0].cut and all(one.duration <= 2.0 for one in found)
    with pytest.raises(AudioError, match="vad.pause = 9"):
        VadConfig(pause=9)
