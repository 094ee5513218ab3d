"""The parameters of hearing and speaking: of voice_node, and what `llm-ros listen` starts from."""

from __future__ import annotations

from dataclasses import dataclass

from llm_ros.params import DomainParams, Group, ParameterError, param
from llm_ros.voice.audio import MAX_CHANNELS, RATES
from llm_ros.voice.recognizer import BACKENDS
from llm_ros.voice.sources import SOURCES
from llm_ros.voice.vad import VadConfig


@dataclass(frozen=True)
class VoiceParams(DomainParams):
    """What is heard, and who is told."""

    target: str = param("planner", "Who gets what is heard: planner, chat (chat_node); none: it is only published")
    planner_node: str = param("planner_node", "Name of the planner_node, relative to this node's namespace")
    planner_wait: float = param(2.0, "Seconds to wait for the target before a command is given up", 0.0, 60.0)
    execute: bool = param(False, "The planner's plans are carried out; false: it is only said what would be done")
    chat_node: str = param("chat_node", "Name of the chat_node, relative to this node's namespace")
    session: str = param("voice", "The conversation there")
    wake_word: str = param("", "Only what begins or ends so is meant for the robot; several: a,b; empty: everything is")
    wake_window: float = param(8.0, "Seconds after a call or a question in which no wake word is needed", 0.0, 120.0)
    min_confidence: float = param(0.0, "What was heard less surely is ignored, but for `stop`", 0.0, 1.0)
    ask_below: float = param(0.6, "What was heard less surely waits for a yes to `Did you say: …?`", 0.0, 1.0)
    correct: bool = param(True, "Put names of the world in place of unknown words that sound like them")

    def __post_init__(self):
        super().__post_init__()
        if self.target not in ("planner", "chat", "none"):
            raise ParameterError(f"target = {self.target!r}: needs planner, chat or none")

    @property
    def wake_words(self) -> tuple[str, ...]:
        """The wake words, each a word or several."""
        return tuple(word.strip() for word in self.wake_word.split(",") if word.strip())


@dataclass(frozen=True)
class AudioParams(Group):
    """Where the sound comes from."""

    prefix = "audio"
    source: str = param("topic", f"One of {', '.join(SOURCES)}; microphone: sounddevice if installed, else arecord")
    topic: str = param("audio", "Topic with the sound, for the source `topic`, relative to the node's namespace")
    type: str = param("llm_ros/msg/Audio", "Its type: also audio_common_msgs/msg/AudioData[Stamped] or AudioStamped")
    rate: int = param(16000, "Samples per second of an AudioData, which does not tell", *RATES)
    channels: int = param(1, "Channels of an AudioData, which does not tell", 1, MAX_CHANNELS)
    device: str = param("", "Which microphone: a name or number of the source's own; empty: the usual one")
    file: str = param("", "WAV file, for the source `wav`")
    max_backlog: float = param(20.0, "Seconds of sound that wait while words are recognised; more is lost", 1.0, 600.0)

    def __post_init__(self):
        super().__post_init__()
        if self.source not in SOURCES:
            raise ParameterError(f"audio.source = {self.source!r}: needs one of {', '.join(SOURCES)}")
        for name, source in (("topic", "topic"), ("file", "wav")):
            if self.source == source and not getattr(self, name).strip():
                raise ParameterError(f"audio.{name} = '': audio.source = {source!r} needs one")


@dataclass(frozen=True)
class RecognizerParams(Group):
    """What turns speech into text."""

    prefix = "recognizer"
    name: str = param("pocketsphinx", f"One of {', '.join(BACKENDS)}")
    model: str = param("", "Folder of its model; empty: the one that comes with its package")
    threads: int = param(2, "Threads that compute, where it has more than one", 1, 64)

    def __post_init__(self):
        super().__post_init__()
        if self.name not in BACKENDS:
            raise ParameterError(f"recognizer.name = {self.name!r}: needs one of {', '.join(BACKENDS)}")


_VAD = VadConfig()


@dataclass(frozen=True)
class VadParams(Group):
    """When speech begins and ends."""

    prefix = "vad"
    threshold: float = param(_VAD.threshold, "dB over the noise that speech has", 1.0, 40.0)
    pause: float = param(_VAD.pause, "Seconds of silence that end an utterance", 0.1, 5.0)
    min_speech: float = param(_VAD.min_speech, "Seconds; what has less voice in it is dropped", 0.02, 2.0)
    max_speech: float = param(_VAD.max_speech, "Seconds after which an utterance is cut", 1.0, 120.0)
    lead: float = param(_VAD.lead, "Seconds kept from before the first and after the last sound", 0.0, 2.0)

    def config(self) -> VadConfig:
        """For the detector."""
        return VadConfig(self.threshold, self.pause, self.min_speech, self.max_speech, self.lead)


@dataclass(frozen=True)
class SpeechParams(Group):
    """How the robot speaks."""

    prefix = "speech"
    program: str = param("espeak-ng", "Program that reads its input aloud, with espeak's options; empty: be silent")
    voice: str = param("en-us", "Its voice")
    speed: int = param(160, "Words a minute", 80, 450)
    deaf: bool = param(True, "The microphone is ignored meanwhile; false: where the echo is cancelled before it comes")
    tail: float = param(0.3, "Seconds after speaking in which the microphone is still ignored", 0.0, 5.0)
