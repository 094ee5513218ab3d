"""From sound to commands without ROS: language model, recognisers, names put right, wake words, sources, speaking.

The sentences in test/data/voice were spoken by espeak-ng; what they say is in their names' table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import types
import wave
from pathlib import Path

import numpy as np
import pytest

from llm_ros.cli.main import main
from llm_ros.planner import load_skills, load_world
from llm_ros.share import config_file
from llm_ros.voice.audio import RATE, AudioError, decode, read_wav, to_s16le
from llm_ros.voice.correct import Corrector
from llm_ros.voice.hearing import Address, Hearing, Meaning, is_stop
from llm_ros.voice.phrases import Phrases, number_words, spoken
from llm_ros.voice.recognizer import BACKENDS, Recognition, RecognizerError, make_recognizer
from llm_ros.voice.sounds import distance, phones
from llm_ros.voice.sources import ArecordSource, SounddeviceSource, WavSource
from llm_ros.voice.speaker import Speaker
from llm_ros.voice.trigrams import arpa
from llm_ros.voice.vocabulary import Vocabulary
from llm_ros.voice.whisper import WhisperRecognizer

SPOKEN = Path(__file__).parent / "data" / "voice"
SAID = {
    "kitchen": "go to the kitchen",
    "water": "bring me a glass of water from the kitchen",
    "robot_bedroom": "robot go to the bedroom",
    "emil": "guide emil to the sofa",
    "stop": "stop",
}


def sound(name):
    return np.concatenate(list(read_wav(SPOKEN / f"{name}.wav")))


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(load_skills(config_file("skills.yaml")), load_world(config_file("world.yaml")), ("robot",))


@pytest.fixture(scope="module")
def sphinx(vocabulary):
    return make_recognizer("pocketsphinx", vocabulary)


class Fixed:
    """A recogniser that has heard what the test says."""

    def __init__(self, *texts, confidence=0.9):
        self.texts, self.confidence = list(texts), confidence

    def recognize(self, samples):
        assert samples.dtype == np.float32 and samples.ndim == 1
        return Recognition(self.texts.pop(0), self.confidence)


# Language model


def test_probabilities_of_a_language_model_sum_to_one():
    sentences = [line.split() for line in ("a b c", "a b d", "b c a", "d")]
    lines = [line.split("\t") for line in arpa(sentences, ["e"]).splitlines() if "\t" in line]
    grams = {tuple(line[1].split()): 10 ** float(line[0]) for line in lines}
    weights = {tuple(line[1].split()): 10 ** float(line[2]) for line in lines if len(line) == 3}

    def probability(history, word):
        if (*history, word) in grams or not history:
            return grams[(*history, word)]
        return weights.get(history, 1.0) * probability(history[1:], word)

    for history in [(), ("a",), ("<s>", "a"), ("a", "b"), ("e",), ("d", "e")]:
        total = sum(probability(history, word) for word in ("a", "b", "c", "d", "e", "</s>"))
        assert total == pytest.approx(1.0, abs=2e-3), history
    assert probability(("a",), "b") > probability(("a",), "d")
    with pytest.raises(ValueError, match="at least one sentence"):
        arpa([])


def test_sentences_hold_the_names_of_the_world_and_repeat_with_a_seed():
    skills, world = load_skills(config_file("skills.yaml")), load_world(config_file("world.yaml"))
    phrases = Phrases(skills, world)
    sentences = phrases.sentences(3000)
    assert sentences == phrases.sentences(3000) != phrases.sentences(3000, seed=1)
    said = {" ".join(words) for words in sentences}
    for name in ("refrigerator", "orange juice", "emil", "living room", "stop"):
        assert any(name in sentence for sentence in said), name
    assert spoken("Glass_of_Water, 21 t-shirts!") == "glass of water twenty one t shirts".split()
    assert number_words(13) == ["thirteen"] and number_words(120_305) == (
        "one hundred twenty thousand three hundred five".split()
    )


# Recognisers


@pytest.mark.parametrize("name", SAID)
def test_pocketsphinx_hears_what_was_said(sphinx, name):
    heard = sphinx.recognize(sound(name))
    assert heard.text == SAID[name]
    assert 0.1 < heard.confidence <= 1.0 and heard.text not in heard.alternatives
    assert sphinx.recognize(sound(name)) == heard


def test_pocketsphinx_hears_no_command_in_noise_and_takes_names_that_no_dictionary_has(sphinx, tmp_path):
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * 0.01
    assert sphinx.recognize(noise).confidence < 0.9
    world = tmp_path / "world.yaml"
    world.write_text("rooms: [kitchen]\nlocations: {zwirbelkranz: {room: kitchen}}\n")
    strange = Vocabulary(load_skills(config_file("skills.yaml")), load_world(world))
    assert "zwirbelkranz" in strange.words
    assert make_recognizer("pocketsphinx", strange).recognize(sound("kitchen")).text == SAID["kitchen"]


def test_a_recogniser_that_cannot_be_is_refused_with_the_reason(vocabulary, tmp_path):
    with pytest.raises(RecognizerError, match="recognizer.name = 'ears': needs one of pocketsphinx, faster-whisper"):
        make_recognizer("ears", vocabulary)
    with pytest.raises(RecognizerError, match=f"recognizer.model = '{tmp_path}': needs a folder with en-us"):
        make_recognizer("pocketsphinx", vocabulary, str(tmp_path))
    with pytest.raises(RecognizerError, match="recognizer.model = .*there is no model.bin"):
        make_recognizer("faster-whisper", vocabulary, str(tmp_path))

    def missing(module):
        raise ImportError("No module named 'pocketsphinx'")

    for name, (_, _, extra) in BACKENDS.items():
        with pytest.raises(RecognizerError, match=rf"{name}.*No module.*pip install '\.\[{extra}\]'"):
            make_recognizer(name, vocabulary, load=missing)


class StandInWhisper:
    """Has WhisperModel's `transcribe`: keeps what it was given, gives segments."""

    def __init__(self, *segments):
        self.segments, self.given = segments, None

    def transcribe(self, samples, **options):
        self.given = samples, options
        return iter(self.segments), object()


def segment(text, avg_logprob=-0.2, no_speech_prob=0.1):
    return types.SimpleNamespace(text=text, avg_logprob=avg_logprob, no_speech_prob=no_speech_prob)


def test_whisper_is_given_the_names_and_its_segments_are_joined(vocabulary, tmp_path):
    (tmp_path / "model.bin").touch()
    opened, model = [], StandInWhisper(segment(" Go to the kitchen."), segment(" Then stop.", -0.7))

    def open_model(*given):
        opened.append(given)
        return model

    recognizer = WhisperRecognizer(vocabulary, str(tmp_path), 3, open_model)
    heard = recognizer.recognize(sound("kitchen"))
    assert opened == [(str(tmp_path), 3)]
    assert heard.text == "Go to the kitchen. Then stop." and heard.confidence == pytest.approx(np.exp(-0.7))
    samples, options = model.given
    assert samples.dtype == np.float32 and len(samples) == len(sound("kitchen")) + RATE // 2
    assert "orange juice" in options["hotwords"] and "Emil" in options["hotwords"] and options["language"] == "en"
    model.segments = (segment(" Thank you for watching!", no_speech_prob=0.95),)
    assert recognizer.recognize(sound("kitchen")) == Recognition("")

    def broken(*_):
        raise RuntimeError("unsupported model binary version")

    with pytest.raises(RecognizerError, match="recognizer.model = .*unsupported model binary version"):
        WhisperRecognizer(vocabulary, str(tmp_path), 3, broken)


# Names put right


def test_sounds_follow_the_letters():
    for word, sounds in (("chen", "CH EH N"), ("kitchen", "K IH CH EH N"), ("knife", "N AY F"), ("tv", "T V AH")):
        assert phones(word) == tuple(sounds.split())
    assert distance(phones("ken"), phones("chen")) < distance(phones("ken"), phones("emil"))
    assert distance(phones("sofa"), phones("sofa")) == 0.0
    assert distance((), phones("sofa")) == distance(phones("sofa"), ())


@pytest.mark.parametrize(
    "heard, right",
    [
        ("Give it to Ken.", "Give it to chen."),
        ("fetch a pair from the refrigerater", "fetch a pear from the refrigerator"),
        ("Go to the kitchen, please!", "Go to the kitchen, please!"),
        ("Bring me the xylophone", "Bring me the xylophone"),
        ("", ""),
    ],
)
def test_names_are_put_right_and_the_rest_stays(vocabulary, heard, right):
    assert Corrector(vocabulary).correct(heard) == right


# Who is spoken to


def test_wake_words_open_and_close_commands():
    now = [0.0]
    address = Address(("robot", "hey jarvis"), 5.0, lambda: now[0])
    for text, command in (
        ("Robot, go to the kitchen.", "go to the kitchen."),
        ("hey robot go on", "go on"),
        ("Hey Jarvis: stop", "stop"),
        ("go to the kitchen, robot", "go to the kitchen"),
        ("robot", ""),
        ("the robot is here", None),
        ("go to the kitchen", None),
    ):
        assert address.command(text) == command, text
    address.attend()
    now[0] = 4.9
    assert address.command("to the kitchen") == "to the kitchen"
    now[0] = 5.1
    assert address.command("to the kitchen") is None
    assert Address((), 5.0).command("go on") == "go on"


def test_stop_is_the_whole_of_what_is_said():
    assert all(map(is_stop, ("Stop!", "cancel that, please", "stop stop", "STOP NOW", "robot stop")))
    assert not any(map(is_stop, ("stop at the kitchen", "please", "", "go on", "don't stop")))


def test_utterances_become_commands_stops_or_nothing():
    pause = np.zeros(RATE, np.float32)
    spoken_twice = np.concatenate([pause, sound("kitchen"), pause, sound("water"), pause, sound("stop"), pause])
    recognizer = Fixed("Robot, go to the sofa.", "nice weather", "stop")
    hearing = Hearing(recognizer, None, Address(("robot",), 5.0))
    heard = hearing.push(spoken_twice)
    assert [one.meaning for one in heard] == [Meaning.COMMAND, Meaning.IGNORED, Meaning.STOP]
    assert [one.command for one in heard] == ["go to the sofa.", "", "stop"]
    assert heard[0].text == "Robot, go to the sofa." and heard[0].duration > 0.9 and heard[0].latency >= 0
    unsure = Hearing(Fixed("go on", "stop", confidence=0.3), None, Address((), 5.0), min_confidence=0.5)
    assert [one.meaning for one in unsure.push(spoken_twice[: 3 * RATE])] == [Meaning.IGNORED]
    called = Hearing(Fixed("robot", "go on"), None, Address(("robot",), 60.0))
    found = called.push(np.concatenate([pause, sound("stop"), pause, sound("stop")])) + called.flush()
    assert [one.meaning for one in found] == [Meaning.IGNORED, Meaning.COMMAND]


# Sources and the speaker


def test_samples_of_a_message_are_decoded_or_refused():
    tone = np.array([0.5, -0.5, 0.25, 0.75], np.float32)
    assert np.allclose(decode("s16le", to_s16le(tone), 2), [0.0, 0.5], atol=1e-4)
    assert np.allclose(decode("f32le", tone.astype("<f4").tobytes()), tone)
    for encoding, data, expected in (("mp3", b"", "encoding = 'mp3'"), ("f32le", b"123", "3 bytes are no whole")):
        with pytest.raises(AudioError, match=expected):
            decode(encoding, data)


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_arecord_is_read_through_its_pipe(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    raw = tmp_path / "raw"
    raw.write_bytes(to_s16le(sound("stop")))
    program(tmp_path, "arecord", f'echo "$@" > {tmp_path}/args; cat {raw}')
    source = ArecordSource("hw:1")
    assert np.allclose(np.concatenate(list(source)), sound("stop"), atol=1e-4)
    assert (tmp_path / "args").read_text().split() == "-q -t raw -f S16_LE -c 1 -r 16000 -D hw:1".split()
    source.close()
    program(tmp_path, "arecord", "echo no such card >&2; exit 1")
    with pytest.raises(AudioError, match="arecord ended with code 1: no such card"):
        list(ArecordSource())
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(AudioError, match="arecord is not installed"):
        ArecordSource()


def test_a_microphone_of_sounddevice_is_read_until_it_is_closed():
    streams = []

    class Stream:
        def __init__(self, **options):
            if options["device"] == "nothing":
                raise ValueError("No input device matching 'nothing'")
            self.options = options
            streams.append(self)

        def start(self):
            self.options["callback"](to_s16le(sound("stop")), 1, None, None)

        def close(self):
            pass

    def load(_name):
        return types.SimpleNamespace(RawInputStream=Stream)

    source = SounddeviceSource("2", load)
    assert streams[0].options["device"] == 2 and streams[0].options["samplerate"] == RATE
    source.close()
    assert np.allclose(np.concatenate(list(source)), sound("stop"), atol=1e-4)
    with pytest.raises(AudioError, match="device 'nothing': No input device"):
        SounddeviceSource("nothing", load)

    def missing(_name):
        raise ImportError("No module named 'sounddevice'")

    with pytest.raises(AudioError, match=r"pip install '\.\[microphone\]'"):
        SounddeviceSource("", missing)


def test_a_closed_file_gives_no_more(tmp_path):
    source = WavSource(str(SPOKEN / "water.wav"))
    pieces = iter(source)
    assert len(next(pieces)) > 0
    source.close()
    assert list(pieces) == []


def test_the_speaker_speaks_in_turn_and_tells_when_it_is_busy(tmp_path):
    said, gate = tmp_path / "said", tmp_path / "gate"
    loud = program(tmp_path, "loud", f'while [ ! -e {gate} ]; do sleep 0.01; done; echo "$@: $(cat)" >> {said}')
    speaker = Speaker(str(loud), "en-gb", 200, tail=0.0)
    speaker.say("one")
    speaker.say("-w two")
    assert speaker.busy and not said.exists()
    gate.touch()
    end = threading.Event()
    for _ in range(500):
        if not speaker.busy:
            break
        end.wait(0.01)
    assert said.read_text().splitlines() == ["--stdin -v en-gb -s 200: one", "--stdin -v en-gb -s 200: -w two"]
    gate.unlink()
    speaker.say("three")
    speaker.close()
    assert not speaker.busy and "three" not in said.read_text()


def test_a_speaker_that_fails_or_is_not_there_harms_nobody(tmp_path):
    problems, told = [], threading.Event()
    broken = program(tmp_path, "broken", "cat > /dev/null; echo no sound card >&2; exit 3")
    speaker = Speaker(str(broken), on_problem=lambda text: (problems.append(text), told.set()))
    speaker.say("hello")
    assert told.wait(10.0) and "ended with code 3: no sound card" in problems[0]
    speaker.close()
    silent = Speaker("no-such-program-here")
    silent.say("hello")
    assert not silent.available and not silent.busy
    silent.close()


# The command line


def test_listen_writes_what_a_file_says(tmp_path, capsys):
    pause = np.zeros(RATE, np.float32)
    whole = np.concatenate([pause, sound("robot_bedroom"), pause, sound("emil"), pause, sound("stop")])
    with wave.open(str(tmp_path / "all.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(to_s16le(whole))
    assert main(["listen", str(tmp_path / "all.wav"), "--wake-word", "robot", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ["command", "ignored", "stop"]
    assert lines[0]["command"] == "go to the bedroom" and lines[0]["confidence"] > 0.3


def test_listen_refuses_what_it_cannot_use(tmp_path, capsys):
    for arguments, expected in (
        ([str(tmp_path / "none.wav")], "cannot be read"),
        (["--execute"], "--execute needs --node"),
        (["--model", "x"], "--model needs --plan"),
        ([str(SPOKEN / "stop.wav"), "--world", str(tmp_path / "none.yaml")], "none.yaml"),
    ):
        assert main(["listen", *arguments]) != 0
        assert expected in capsys.readouterr().err


def test_no_recogniser_is_imported_before_it_is_asked_for():
    code = (
        "import sys, llm_ros.voice.recognizer, llm_ros.voice.params; "
        "print({'pocketsphinx', 'faster_whisper'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
