"""voice_node over real DDS: sound as messages to a planner, what it says, "stop", yes and no, wake word, life cycle.

One test hears with pocketsphinx and plans with planner_node; the others script what is heard and what a planner does.
"""

from __future__ import annotations

import threading
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from llm_ros.action import Chat, PlanTask
from llm_ros.msg import Audio, ChatTurn, Domain, Execution, Heard, Plan, PlanArg, PlanStep
from llm_ros.srv import Confirm
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from ros_helpers import DEADLINE_S, FakeEngines, Ros, wait_until
from std_msgs.msg import String

from llm_ros.cli._nodes import NodeGroup
from llm_ros.client import PlannerClient
from llm_ros.nodes.audio_messages import audio_type
from llm_ros.nodes.lifecycle import LifecycleNode
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.nodes.planner_node import PlannerNode
from llm_ros.nodes.voice_node import VoiceNode
from llm_ros.params import ParameterError
from llm_ros.plan_conversions import plan_from_ros
from llm_ros.qos import LATCHED, TURNS
from llm_ros.share import config_file
from llm_ros.voice.audio import RATE, AudioError, read_wav, to_s16le
from llm_ros.voice.params import AudioParams
from llm_ros.voice.recognizer import Recognition

SPOKEN = Path(__file__).parent / "data" / "voice"
PIECE = RATE // 10


def sound(name):
    return np.concatenate([*read_wav(SPOKEN / f"{name}.wav"), np.zeros(RATE, np.float32)])


def met(publisher, subscription):
    """Waits until what is published arrives: both sides know each other."""
    wait_until(lambda: publisher.get_subscription_count() and subscription.get_publisher_count(), "they have met")


@pytest.fixture
def ros(request):
    ros = Ros(request.node.name)
    yield ros
    ros.close()


class Fixed:
    """Makes a recogniser that hears, whatever is said, one text of the test's after the other."""

    def __init__(self, *texts):
        self.texts, self.confidence, self.vocabularies = list(texts), 0.9, []

    def __call__(self, _name, vocabulary, _model, _threads):
        self.vocabularies.append(vocabulary)
        return self

    def recognize(self, _samples):
        return Recognition(self.texts.pop(0) if self.texts else "", self.confidence)


class Voice:
    """A voice_node, active, and a client that speaks to it; `heard` and `said` collect its topics."""

    def __init__(self, ros, start=True, **values):
        defaults = {"correct": False, "speech__program": "", "planner_wait": DEADLINE_S, "vad__pause": 0.5}
        self.recognizer = Fixed()
        self.node = ros.add(partial(VoiceNode, make=self.recognizer), **defaults | values)
        client = ros.client_node()
        self.heard, self.said, self.status = [], [], []
        hearing = client.create_subscription(Heard, "heard", self.heard.append, 10)
        listening = client.create_subscription(String, "said", lambda message: self.said.append(message.data), 10)
        met(self.node._heard, hearing)
        met(self.node._said, listening)
        client.create_subscription(DiagnosticArray, "/diagnostics", lambda new: self.status.extend(new.status), 10)
        self._sound = client.create_publisher(Audio, "audio", 100)
        if start:
            assert self.node.start()
            met(self._sound, self.node._subscription)

    def hear(self, samples=None, text=None, **fields):
        """Publishes sound, of somebody who says `text`."""
        samples = sound("stop") if samples is None else samples
        if text is not None:
            self.recognizer.texts = [text, text]  # a short one is looked at before its pause is over
        fields = {"encoding": Audio.S16LE, "rate": RATE, "channels": 1, **fields}
        before = len(self.heard)
        for piece in np.split(samples, range(PIECE, len(samples), PIECE)):
            self._sound.publish(Audio(data=to_s16le(piece), **fields))
        if text is not None:
            wait_until(lambda: len(self.heard) > before, "it is heard")
            return self.heard[-1]

    def hears_to_say(self, text, answer):
        """Says `text`, waits until the node says `answer`."""
        before = len(self.said)
        heard = self.hear(text=text)
        wait_until(lambda: self.said[before:], f"an answer to {text!r}")
        assert self.said[before:] == [answer]
        return heard


class StandInPlanner(Node):
    """Answers goals by `plans`, command -> Plan; others run until they are cancelled. Notes what it is told."""

    def __init__(self, **options):
        super().__init__("planner_node", **options)
        self.plans, self.goals, self.confirmed, self.cancelled = {}, [], [], threading.Event()
        group = ReentrantCallbackGroup()
        self.server = ActionServer(
            self,
            PlanTask,
            "~/plan_task",
            self.plan,
            callback_group=group,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self.create_service(Confirm, "~/confirm", self.confirm, callback_group=group)
        self.execution = self.create_publisher(Execution, "execution", LATCHED)

    def plan(self, handle):
        self.goals.append(handle.request)
        if handle.request.dialogue_id == "old":
            handle.abort()
            return PlanTask.Result(error="dialogue_id = 'old': no such question is open (any more)")
        plan = self.plans.get(handle.request.command)
        if plan is not None:
            if handle.request.execute:
                handle.publish_feedback(PlanTask.Feedback(plan=[plan]))
            handle.succeed()
            return PlanTask.Result(plan=plan)
        wait_until(lambda: handle.is_cancel_requested or self.cancelled.is_set(), "the goal is cancelled")
        handle.canceled()
        self.cancelled.set()
        return PlanTask.Result(error="cancelled")

    def confirm(self, request, response):
        self.confirmed.append((request.confirm_id, request.accept))
        response.success = request.confirm_id == 7
        response.error = "" if response.success else "nobody asked"
        return response


class StandInChat(LifecycleNode):
    """Answers every turn with a question, on the topic, among turns of somebody else's."""

    def __init__(self, **options):
        super().__init__("chat_node", **options)
        self.turns, self.texts = self.create_publisher(ChatTurn, "chat", TURNS), []
        self.server = ActionServer(self, Chat, "~/chat", self.chat, callback_group=ReentrantCallbackGroup())

    def _load(self):
        pass

    _free = _load

    def chat(self, handle):
        self.texts.append((handle.request.text, handle.request.session_id))
        for session, role, text in (("other", "assistant", "no"), ("kid", "user", "no"), ("kid", "assistant", "Well?")):
            self.turns.publish(ChatTurn(session_id=session, role=role, text=text, asks=True))
        handle.succeed()
        return Chat.Result()


def test_a_spoken_command_is_heard_and_planned(ros):
    llm = ros.add(partial(LLMNode, make_engine=FakeEngines()))
    assert llm.start()
    ros.add(PlannerNode)
    node = ros.add(VoiceNode, speech__program="")
    assert node.start()
    client, heard, said, plans = ros.client_node(), [], [], []
    met(node._heard, client.create_subscription(Heard, "heard", heard.append, 10))
    met(node._said, client.create_subscription(String, "said", said.append, 10))
    client.create_subscription(Plan, "plan", plans.append, LATCHED)
    publisher = client.create_publisher(Audio, "audio", 100)
    met(publisher, node._subscription)
    whole = np.repeat(sound("kitchen"), 2)  # as a stereo microphone would send it
    for piece in np.split(whole, range(2 * PIECE, len(whole), 2 * PIECE)):
        message = Audio(rate=RATE, channels=2, data=to_s16le(piece))
        message.header.frame_id = "microphone"
        publisher.publish(message)
    wait_until(lambda: plans and said, "a plan and an answer")
    assert [one.text for one in heard] == ["go to the kitchen"] and heard[0].status == Heard.PASSED_ON
    assert (
        heard[0].confidence > 0.6
        and heard[0].command == heard[0].raw == "go to the kitchen"
        and heard[0].header.frame_id == "microphone"
    )
    assert heard[0].confidence <= 1.0 and 0.5 < heard[0].duration < 1.5 and 0.7 <= heard[0].latency < 5.0
    assert plans[0].command == "go to the kitchen"
    assert plan_from_ros(plans[0]) == [{"skill": "go_to", "args": {"location": "kitchen"}}]
    assert said[0].data == "I would: go to kitchen."


def test_answers_are_said(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros)
    steps = [PlanStep(skill="go_to", args=[PlanArg(name="location", value="tv_stand")])]
    planner.plans = {
        "go there": Plan(status=Plan.PLANNED, steps=steps),
        "fly": Plan(status=Plan.REFUSED, reason="I cannot fly"),
        "bring it": Plan(status=Plan.CLARIFY, question="What should I bring?", dialogue_id="7"),
        "the apple": Plan(status=Plan.CLARIFY, question="Which one?", dialogue_id="old"),
    }
    assert voice.hears_to_say("go there", "I would: go to tv stand.").status == Heard.PASSED_ON
    voice.hears_to_say("fly", "Sorry. I cannot fly")
    voice.hears_to_say("bring it", "What should I bring?")
    voice.hears_to_say("the apple", "Which one?")
    voice.hears_to_say("fly", "Sorry. I cannot fly")  # after so long a time that the planner has forgotten
    goals = [(goal.command, goal.dialogue_id) for goal in planner.goals]
    assert goals == [
        *[("go there", ""), ("fly", ""), ("bring it", ""), ("the apple", "7")],
        ("fly", "old"),
        ("fly", ""),
    ]


def test_plans_are_carried_out_if_parameters_say_so(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros, execute=True)
    planner.plans["go there"] = Plan(status=Plan.PLANNED, steps=[PlanStep(skill="go_to")])
    voice.hear(text="go there")
    wait_until(lambda: voice.said == ["All right.", "Done."], "it is done")
    assert planner.goals[0].execute


def test_stop_cancels_at_once_whoever_has_started_it(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros, wake_word="robot")
    assert voice.hear(text="robot go to the kitchen").command == "go to the kitchen"
    wait_until(lambda: planner.goals, "the goal runs")
    stop = voice.hears_to_say("stop", "Stopped.")  # nobody needs to call it for that
    assert stop.status == Heard.STOP and planner.cancelled.is_set() and 0.2 < stop.latency < 0.5
    voice.hears_to_say("robot stop please", "There is nothing to stop.")
    planner.cancelled.clear()
    other = PlannerClient(ros.client_node("somebody"))
    other.wait_ready(DEADLINE_S)
    call = other.plan("go to the bedroom")
    wait_until(lambda: len(planner.goals) == 2, "the other's goal runs")
    planner.execution.publish(Execution(status=Execution.RUNNING))
    wait_until(lambda: voice.node._target._state.status == Execution.RUNNING, "the robot moves")
    voice.hear(text="halt")
    assert call.wait(DEADLINE_S) and call.status == "cancelled" and "Stopped." not in voice.said[2:]
    planner.execution.publish(Execution(status=Execution.IDLE))
    wait_until(lambda: voice.said[2:] == ["Stopped."], "it says so")


def test_confirmations_are_asked_and_answered(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros, wake_word="robot")
    for answer, told in (("yes please", True), ("no", False)):
        planner.execution.publish(Execution(status=Execution.CONFIRM, question="May I?", confirm_id=7))
        wait_until(lambda: "May I?" in voice.said, "it asks")
        assert voice.hear(text=answer).status == Heard.PASSED_ON  # without the wake word: it has asked
        wait_until(lambda told=told: planner.confirmed == [(7, told)], "it is answered")
        planner.confirmed.clear()
        voice.said.clear()
        planner.execution.publish(Execution(status=Execution.RUNNING))
        wait_until(lambda: voice.node._target._state.status == Execution.RUNNING, "it goes on")
    planner.execution.publish(Execution(status=Execution.CONFIRM, question="Really?", confirm_id=8))
    wait_until(lambda: voice.said == ["Really?"], "it asks")
    voice.hears_to_say("yes", "nobody asked")
    assert planner.goals == []


def test_what_was_heard_unsurely_is_asked_about(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros, ask_below=0.5)
    planner.plans = {text: Plan(status=Plan.REFUSED, reason=text) for text in ("fly", "dance", "yes")}
    voice.recognizer.confidence = 0.4
    assert voice.hears_to_say("fly", "Did you say: fly?").status == Heard.DOUBTED
    assert voice.hears_to_say("yes", "Sorry. fly").command == "fly"  # however unsure a yes or no is
    voice.hears_to_say("fly", "Did you say: fly?")
    assert voice.hears_to_say("no", "Please say it again.").status == Heard.IGNORED
    voice.hears_to_say("fly", "Did you say: fly?")
    voice.recognizer.confidence = 0.5
    voice.hears_to_say("dance", "Sorry. dance")  # something else: forget it
    voice.hears_to_say("yes", "Sorry. yes")
    assert [goal.command for goal in planner.goals] == ["fly", "dance", "yes"]


def test_a_conversation_is_held_by_voice(ros):
    node = ros.add(StandInChat)
    voice = Voice(ros, target="chat", session="kid", wake_word="robot", planner_wait=0.5)
    voice.hears_to_say("robot how are you", "chat_node is unconfigured, not active within 0.5 s")
    assert node.start()
    voice.hears_to_say("robot how are you", "Well?")
    assert voice.hears_to_say("fine", "Well?").status == Heard.PASSED_ON  # without the wake word: it has asked
    assert voice.hears_to_say("stop", "Well?").status == Heard.STOP
    assert node.texts == [("how are you", "kid"), ("fine", "kid"), ("stop", "kid")]


def test_the_wake_word_and_the_time_after_it(ros):
    planner, voice = ros.add(StandInPlanner), Voice(ros, wake_word="robot, hey rob", wake_window=60.0)
    assert voice.hear(text="nice weather").status == Heard.IGNORED
    called = voice.hear(text="robot")
    assert called.status == Heard.IGNORED and called.command == "" and planner.goals == []
    planner.plans["go on"] = Plan(status=Plan.REFUSED, reason="no")
    voice.hears_to_say("go on", "Sorry. no")
    assert voice.hear(text="stop").status == Heard.STOP


def test_it_hears_the_names_of_the_planners_world_when_that_changes(ros):
    skills = config_file("skills.yaml").read_text()
    voice = Voice(ros, target="planner", correct=True)
    domains = ros.client_node("somebody").create_publisher(Domain, "planner_node/domain", LATCHED)
    domains.publish(Domain(skills=skills, world=config_file("world.yaml").read_text()))  # what is known already
    domains.publish(Domain(skills=skills, world="rooms: [barn]\nlocations: {hay: {rom: barn}}\n"))
    wait_until(lambda: "locations.hay: missing key 'room'" in voice.node.problem, "the problem is told")
    assert len(voice.recognizer.vocabularies) == 1
    domains.publish(Domain(skills=skills, world="rooms: [barn]\nlocations: {haystack: {room: barn}}\n"))
    wait_until(lambda: voice.node._domain[1].rooms == ("barn",), "the new world is heard")
    assert voice.recognizer.vocabularies[1].names == (("barn",), ("haystack",))
    assert voice.hear(text="Go to the hay stack").text == "Go to the haystack"  # names are put right by the new ones


def test_without_a_planner_or_after_its_death_it_says_so(ros):
    voice = Voice(ros, planner_wait=0.2)
    voice.hears_to_say("go on", "no planner_node found within 0.2 s")
    planner = ros.add(StandInPlanner)
    voice.hear(text="go there")
    wait_until(lambda: planner.goals, "the goal runs")
    planner.server.destroy()
    wait_until(lambda: len(voice.said) == 2, "it notices")
    assert voice.said[1] == "That did not work: planner_node went away"
    planner.cancelled.set()


def test_what_is_no_sound_is_complained_of_and_harms_nothing(ros):
    voice = Voice(ros, target="none")
    for fields, expected in (({"rate": 1}, "rate = 1:"), ({"encoding": "mp3"}, "'mp3'"), ({"channels": 3}, "bytes")):
        voice.hear(np.zeros(PIECE, np.float32), **fields)
        wait_until(lambda expected=expected: expected in voice.node.problem, "it complains")
    assert voice.node.counts["bad_messages"] == 3 and voice.hear(text="go on").command == "go on"
    wait_until(lambda: any(one.name == "voice_node: voice" for one in voice.status), "diagnostics")
    values = {value.key: value.value for value in voice.status[-1].values}
    assert values["state"] == "active" and values["bad_messages"] == "3" and values["recognizer"] == "pocketsphinx"


def test_life_cycle_and_files(ros):
    voice = Voice(ros, start=False, target="none", audio__source="wav", audio__file=str(SPOKEN / "water.wav"))
    for number in (1, 2):
        voice.recognizer.texts = [f"take {number}"]
        assert voice.node.start()
        wait_until(lambda number=number: len(voice.heard) == number, "the file is heard")
        voice.node.trigger_deactivate()
        assert voice.node.state == "inactive" and voice.node._threads == []
        voice.node.trigger_cleanup()
    assert [one.text for one in voice.heard] == ["take 1", "take 2"] and voice.heard[0].duration > 1.5


def test_parameters_that_cannot_be_used(ros, tmp_path):
    for values, expected in (
        ({"target": "moon"}, "target = 'moon'"),
        ({"audio__source": "wav"}, "audio.file = ''"),
        ({"recognizer__name": "ears"}, "recognizer.name = 'ears'"),
    ):
        with pytest.raises(ParameterError, match=expected):
            ros.add(VoiceNode, **values)
    for number, values in enumerate(
        ({"world_file": str(tmp_path / "none")}, {"audio__type": "a/msg/B"}, {"audio__type": "audio_common_msgs/msg/B"})
    ):
        assert not ros.add(partial(VoiceNode, f"voice_{number}", make=Fixed()), correct=False, **values).start()


def test_while_it_speaks_it_does_not_listen(ros, tmp_path):
    gate, said = tmp_path / "gate", tmp_path / "said"
    program = tmp_path / "speak"
    program.write_text(f"#!/bin/sh\ncat > {said}\nwhile [ ! -e {gate} ]; do sleep 0.01; done\n")
    program.chmod(0o755)
    voice = Voice(ros, speech__program=str(program), speech__tail=0.0, target="none", wake_word="robot")
    voice.node.say("May I?", asks=True)
    wait_until(said.exists, "it speaks")
    voice.hear(sound("kitchen"))
    wait_until(lambda: voice.node.counts["unheard_s"] > 1.5, "it is thrown away")
    gate.touch()
    wait_until(lambda: not voice.node._speaker.busy, "it is silent")
    wait_until(lambda: voice.node._hearing.address.command("yes"), "it waits for an answer")
    assert voice.hear(text="yes").status == Heard.PASSED_ON and len(voice.heard) == 1 and said.read_text() == "May I?"


def test_messages_of_other_packages_are_read():
    half, params = np.array([0.5, -0.5], np.float32), AudioParams(rate=8000, channels=2)
    bare = types.SimpleNamespace(data=to_s16le(np.repeat(half, 2)))
    module = types.SimpleNamespace(AudioData=1, AudioDataStamped=2, AudioStamped=3)

    def read(kind, message):
        found, reader = audio_type(f"audio_common_msgs/msg/{kind}", lambda name: module)
        assert found == getattr(module, kind)
        return reader(message, params)

    samples, rate, frame = read("AudioData", bare)
    assert np.allclose(samples, half, atol=1e-4) and (rate, frame) == (8000, "")
    header = types.SimpleNamespace(frame_id="mic")
    samples, rate, frame = read("AudioDataStamped", types.SimpleNamespace(header=header, audio=bare))
    assert np.allclose(samples, half, atol=1e-4) and (rate, frame) == (8000, "mic")
    empty = dict.fromkeys(("float32_data", "int32_data", "int16_data", "int8_data", "uint8_data"), [])
    for name, values in (
        ("int16_data", [16384, -16384]),
        ("float32_data", [0.5, -0.5]),
        ("int32_data", [2**30, -(2**30)]),
        ("int8_data", [64, -64]),
        ("uint8_data", [192, 64]),
    ):
        data = types.SimpleNamespace(**{**empty, name: values})
        audio = types.SimpleNamespace(audio_data=data, info=types.SimpleNamespace(rate=48000, channels=1))
        samples, rate, frame = read("AudioStamped", types.SimpleNamespace(header=header, audio=audio))
        assert np.allclose(samples, half) and (rate, frame) == (48000, "mic")
        audio.info.channels = 3
        with pytest.raises(AudioError, match="no whole number"):
            read("AudioStamped", types.SimpleNamespace(header=header, audio=audio))
    with pytest.raises(ParameterError, match="needs one of llm_ros/msg/Audio"):
        audio_type("a/msg/B")


def test_up_starts_the_node_where_a_voice_is_wanted(monkeypatch):
    started = {}
    monkeypatch.setattr(NodeGroup, "_start", lambda self, name, *rest: started.update({name: rest}))
    with NodeGroup(voice="microphone"):
        module, files, overrides, _ = started["voice_node"]
    assert module == VoiceNode.__module__ and files[0].name == "voice_node.yaml"
    assert overrides == {"autostart": True, "audio.source": "microphone"}
    with NodeGroup(voice="microphone", chat=True):
        assert started["voice_node"][2]["target"] == "chat"
    started.clear()
    with NodeGroup():
        assert "voice_node" not in started
