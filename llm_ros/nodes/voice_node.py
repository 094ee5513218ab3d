"""voice_node: spoken commands, as a lifecycle node: sound in, text out, to the planner, and its answers spoken.

Sound comes by the topic `audio`, from a microphone or from a WAV file. Everything that is heard is published on
`heard`, every answer on `said`; the topic `~/say` makes the robot speak. One thread hears (llm_ros.voice); no callback
waits for it. While the robot speaks it does not listen, so that it does not hear itself (`speech.deaf`).
"""

from __future__ import annotations

import threading
from collections import deque

from diagnostic_msgs.msg import DiagnosticArray
from llm_ros.msg import Heard as HeardMessage
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from llm_core.errors import LLMCoreError
from llm_ros.nodes.audio_messages import audio_type
from llm_ros.nodes.diagnostics import diagnostic_array, voice_status
from llm_ros.nodes.lifecycle import LifecycleNode
from llm_ros.nodes.run import run_node
from llm_ros.nodes.voice_domain import DomainFollower
from llm_ros.nodes.voice_target import TARGETS
from llm_ros.params import ParameterError, StartParams, read
from llm_ros.planner import ConfigError, load_skills, load_world
from llm_ros.share import config_file
from llm_ros.voice.audio import RATE, AudioError, Resampler
from llm_ros.voice.correct import Corrector
from llm_ros.voice.doubt import AGAIN, Doubt
from llm_ros.voice.hearing import Address, Hearing, Meaning
from llm_ros.voice.params import AudioParams, RecognizerParams, SpeechParams, VadParams, VoiceParams
from llm_ros.voice.recognizer import make_recognizer
from llm_ros.voice.sources import open_source
from llm_ros.voice.speaker import Speaker
from llm_ros.voice.vocabulary import Vocabulary

# pocketsphinx keeps Python's lock while it thinks, up to some seconds: so many pieces of 20 ms may wait meanwhile.
_SOUND = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
_STATUS_TEXT = {
    HeardMessage.IGNORED: "ignored",
    HeardMessage.PASSED_ON: "passed on",
    HeardMessage.STOP: "stop",
    HeardMessage.DOUBTED: "asking",
}
_FORGET, _END = "forget what was going on", "the sound ends"


class VoiceNode(LifecycleNode):
    """See the module. Raises ParameterError for parameters that cannot be used."""

    GROUPS = (VoiceParams, AudioParams, RecognizerParams, VadParams, SpeechParams, StartParams)
    FIXED = (VoiceParams, AudioParams, RecognizerParams, VadParams, SpeechParams)

    def __init__(self, name: str = "voice_node", make=make_recognizer, **node_options):
        """`make`: makes the recogniser, as make_recognizer does."""
        super().__init__(name, **node_options)
        self._make = make
        self._hearing = self._target = self._source = self._subscription = self._follower = None
        self._domain: tuple | None = None  # skills and world whose words are heard
        self._threads: list[threading.Thread] = []
        self._speaker: Speaker | None = None
        self._resampler: tuple[int, Resampler] | None = None
        self._waiting: deque = deque()  # pieces of sound, _FORGET, _END
        self._most = 0.0  # samples that may wait
        self._changed = threading.Condition()
        self._ending = False
        self._deaf = True
        self._doubt = Doubt(0.0)
        self.frame_id = ""
        self.counts = dict.fromkeys(("heard", "commands", "stops", "lost_s", "unheard_s", "bad_messages"), 0)
        self.problem = ""  # the newest, for /diagnostics
        self._heard = self.create_publisher(HeardMessage, "heard", 10)
        self._said = self.create_publisher(String, "said", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        group = MutuallyExclusiveCallbackGroup()
        self.create_subscription(String, "~/say", lambda message: self.say(message.data), 10, callback_group=group)
        self.create_timer(1.0, self._every_second, callback_group=MutuallyExclusiveCallbackGroup())

    # Lifecycle

    def _load(self):
        params = read(self, VoiceParams)
        files = (params.skills_file or config_file("skills.yaml"), params.world_file or config_file("world.yaml"))
        try:
            self._domain = load_skills(files[0]), load_world(files[1])
        except (ConfigError, OSError) as error:
            raise ParameterError(f"skills_file = '{files[0]}', world_file = '{files[1]}': {error}") from error
        self._hearing = Hearing(
            *self._ears(*self._domain)[1:],
            Address(params.wake_words, params.wake_window),
            read(self, VadParams).config(),
            params.min_confidence,
        )
        speech = read(self, SpeechParams)
        self._deaf = speech.deaf
        self._speaker = Speaker(speech.program, speech.voice, speech.speed, speech.tail, self._complain)
        if speech.program and not self._speaker.available:
            self.get_logger().warning(
                f"speech.program = {speech.program!r} is not installed: answers are only published"
            )

    def _ears(self, skills, world):
        """What hears the words of a world: a recogniser, and what puts its names right. Takes seconds."""
        params, how = read(self, VoiceParams), read(self, RecognizerParams)
        vocabulary = Vocabulary(skills, world, params.wake_words)
        recognizer = self._make(how.name, vocabulary, how.model, how.threads)
        return (skills, world), recognizer, Corrector(vocabulary) if params.correct else None

    def _hear_with(self, domain, recognizer, corrector):
        self._domain = domain
        self._hearing.use(recognizer, corrector)
        self.get_logger().info(
            f"hears the names of another world: {len(domain[1].objects)} objects, {len(domain[1].people)} people"
        )

    def _serve(self):
        params, audio = read(self, VoiceParams), read(self, AudioParams)
        message_type, reader = audio_type(audio.type)
        source = None if audio.source == "topic" else open_source(audio.source, audio.device, audio.file)
        self._target = TARGETS[params.target](self, params, self.say)
        self._doubt = Doubt(params.ask_below if params.target != "none" else 0.0)
        self._ending, self.problem, self._most = False, "", audio.max_backlog * RATE
        self._waiting.clear()
        self._resampler = None
        self._hearing.reset()
        self._threads = [threading.Thread(target=self._listen, name="llm_ros.voice", daemon=True)]
        if source is None:
            self._subscription = self.create_subscription(
                message_type,
                audio.topic,
                lambda message: self._on_audio(message, reader, audio),
                _SOUND,
                callback_group=MutuallyExclusiveCallbackGroup(),
            )
        else:
            self._source, read_it = source, (source, audio)
            self._threads.append(threading.Thread(target=self._read, args=read_it, name="llm_ros.audio", daemon=True))
        for thread in self._threads:
            thread.start()
        if params.target != "none":
            topic = f"{params.planner_node}/domain"
            self._follower = DomainFollower(self, topic, self._domain, self._ears, self._hear_with, self._complain)
        where = audio.source if self._subscription is None else self._subscription.topic_name
        self.get_logger().info(f"listening to {where}, telling {params.target}")

    def _stop_serving(self):
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.close()
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        source, self._source = self._source, None
        if source is not None:
            source.close()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self.destroy_subscription(subscription)
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(10.0)
        target, self._target = self._target, None
        if target is not None:
            target.close()

    def _free(self):
        self._stop_serving()
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.close()
        self._hearing = None

    # Sound

    def _on_audio(self, message, reader, audio):
        try:
            samples, rate, self.frame_id = reader(message, audio)
        except AudioError as error:
            self.counts["bad_messages"] += 1
            self._complain(f"audio.topic = {audio.topic!r}: {error}")
            return
        if self._resampler is None or self._resampler[0] != rate:
            self._resampler = (rate, Resampler(rate))
        self._take(self._resampler[1].push(samples))

    def _read(self, source, audio):
        """The thread of a source. A file waits until it is heard; a microphone cannot wait."""
        try:
            for samples in source:
                if audio.source == "wav":
                    with self._changed:
                        self._changed.wait_for(lambda: len(self._waiting) < 8 or self._ending)
                self._take(samples, own_voice=audio.source != "wav")
            self._take(_END, own_voice=False)
        except LLMCoreError as error:
            self._complain(str(error))

    def _take(self, samples, own_voice: bool = True):
        """Queues a piece of sound, unless it may hold the robot's own voice."""
        speaker = self._speaker
        if own_voice and self._deaf and speaker is not None and speaker.busy:
            self.counts["unheard_s"] += _size(samples) / RATE
            samples = _FORGET
        with self._changed:
            if samples is _FORGET and self._waiting and self._waiting[-1] is _FORGET:
                return
            self._waiting.append(samples)
            while sum(map(_size, self._waiting)) > self._most:
                self.counts["lost_s"] += _size(self._waiting.popleft()) / RATE
            self._changed.notify_all()

    def _listen(self):
        """The thread that hears."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if self._ending:
                    return
                samples = self._waiting.popleft()
                self._changed.notify_all()
            try:
                if samples is _FORGET:
                    self._hearing.reset()
                    continue
                for heard in self._hearing.flush() if samples is _END else self._hearing.push(samples):
                    self._act(heard)
            except Exception as error:  # one utterance must not cost the next ones
                self._complain(f"{type(error).__name__}: {error}")

    def _act(self, heard):
        status, command, question = heard.meaning.value, heard.command, ""
        if heard.meaning == Meaning.COMMAND:
            passed_on, question = self._doubt.judge(command, heard.recognition.confidence)
            if not passed_on:
                status = HeardMessage.IGNORED if question == AGAIN else HeardMessage.DOUBTED
            command = passed_on or (command if status == HeardMessage.DOUBTED else "")
        self._publish(heard, status, command)
        if heard.meaning == Meaning.STOP:
            self.counts["stops"] += 1
            self._doubt.forget()
            self._speaker.hush()
            self._target.stop(command)
        elif question:
            self.say(question, asks=True)
        elif heard.meaning == Meaning.COMMAND:
            self.counts["commands"] += 1
            self._target.command(command)

    def _publish(self, heard, status, command):
        now = self.get_clock().now()
        ago = min(heard.duration + heard.latency, now.nanoseconds / 1e9)  # simulated time may have just begun
        message = HeardMessage(
            status=status,
            text=heard.text,
            command=command,
            raw=heard.recognition.text,
            alternatives=list(heard.recognition.alternatives),
            confidence=float(heard.recognition.confidence),
            duration=heard.duration,
            latency=heard.latency,
        )
        message.header.stamp = (now - Duration(seconds=ago)).to_msg()
        message.header.frame_id = self.frame_id
        self._heard.publish(message)
        self.counts["heard"] += 1
        what = _STATUS_TEXT[status]
        self.get_logger().info(f"heard {heard.text!r} ({heard.recognition.confidence:.2f}): {what}")

    # Speech

    def say(self, text: str, asks: bool = False) -> None:
        """Speaks and publishes a text; with `asks` what is said next is for the robot."""
        hearing, speaker = self._hearing, self._speaker
        if not text.strip():
            return
        self._said.publish(String(data=text))
        if speaker is not None and hearing is not None:
            speaker.say(text, hearing.address.attend if asks else lambda: None)

    def _complain(self, problem: str):
        if problem != self.problem:
            self.get_logger().error(problem)
        self.problem = problem

    def _every_second(self):
        target = self._target
        if target is not None:
            target.check()
        status = voice_status(
            self.get_name(),
            self._state,
            self.problem,
            self.counts,
            target.count if target is not None else 0,
            {"recognizer": read(self, RecognizerParams).name, "source": read(self, AudioParams).source},
        )
        self._diagnostics.publish(diagnostic_array(self.get_clock().now().to_msg(), status))


def _size(samples) -> int:
    return 0 if isinstance(samples, str) else len(samples)


def main(args=None) -> int:
    """Entry point of the executable `voice_node`."""
    return run_node(VoiceNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
