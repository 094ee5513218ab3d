"""vqa_node over real DDS: a camera that a test holds, an llm_node with a tiny random model that sees."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from camera_helpers import write_seeing_model
from llm_ros.action import ExecuteSkill
from llm_ros.msg import CameraAnswer, Outcome, PlanArg, TokenProb, TokenProbArray
from llm_ros.srv import Ask as AskService
from PIL import Image as Pillow
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import qos_profile_sensor_data
from ros_helpers import DEADLINE_S, Ros, wait_until
from sensor_msgs.msg import CompressedImage, Image
from vision_folders import picture

from llm_core.errors import RequestError
from llm_ros import images
from llm_ros.calls import Call, CallError
from llm_ros.camera_skills import SKILLS
from llm_ros.client import LLMClient, VQAClient, connect
from llm_ros.goals import action_client
from llm_ros.nodes.llm_node import LLMNode
from llm_ros.nodes.vqa_node import VQANode
from llm_ros.params import AskParams, CameraParams, ParameterError
from llm_ros.questions import Question, confidence

A, B = picture(56), 255 - picture(56)
COUNT = itertools.count()


@pytest.fixture(scope="module")
def ros(tmp_path_factory):
    """With an llm_node that sees."""
    model, mmproj = write_seeing_model(tmp_path_factory.mktemp("seeing"))
    ros = Ros(__name__)
    values = dict(model__name=model, model__mmproj=mmproj, context__n_ctx=512, cpu__n_threads=2)
    ros.llm = ros.add(LLMNode, **values)
    assert ros.llm.start()
    ros.client = ros.client_node()
    LLMClient(ros.client).wait_ready(DEADLINE_S)
    yield ros
    ros.close()


class Robot:
    """A vqa_node, its camera and a client."""

    def __init__(self, ros, kind=Image, start=True, topic=None, **values):
        number = next(COUNT)
        self.topic = topic or f"camera_{number}/image"
        values = {"max_tokens": 8, "camera__topic": self.topic, "camera__frame_wait": 0.2, **values}
        self.node = ros.add(lambda **options: VQANode(f"vqa_{number}", **options), **values)
        self.publisher = ros.client.create_publisher(kind, self.topic, qos_profile_sensor_data)
        self.clock = ros.client.get_clock()
        self.client = VQAClient(ros.client, f"vqa_{number}")
        if start:
            self.start()

    def start(self):
        assert self.node.start()
        self.client.wait_ready(DEADLINE_S)
        wait_until(lambda: self.publisher.get_subscription_count() == 1, "the camera is heard")

    def show(self, pixels, age=0.0):
        """Publishes a frame that was taken `age` seconds ago, until it has arrived (best effort may lose one)."""
        message = pixels if isinstance(pixels, (Image, CompressedImage)) else images.image_to_ros(pixels)
        message.header.frame_id = "eye"
        nanoseconds = self.clock.now().nanoseconds - int(age * 1e9)
        message.header.stamp = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        before = self.node._camera.number
        self.publisher.publish(message)
        wait_until(lambda: self.node._camera.number > before, "the frame arrives")
        return message


def failure(call):
    with pytest.raises(CallError) as caught:
        call.result(DEADLINE_S)
    return str(caught.value)


def test_an_answer_is_the_models_about_the_newest_frame(ros):
    robot = Robot(ros)
    expected = {}
    for pixels in (A, B):
        chat = LLMClient(ros.client).chat("What is it?", images=[pixels], temp=0.0, max_tokens=8, n_probs=0)
        expected[pixels.tobytes()] = chat.result(DEADLINE_S).response
    assert expected[A.tobytes()].text != expected[B.tobytes()].text
    for pixels in (A, B):
        shown, response = robot.show(pixels), expected[pixels.tobytes()]
        call = robot.client.ask("What is it?")
        text = "".join(call.text(DEADLINE_S))
        answer = call.result(0).answer
        assert text == answer.answer == response.text.strip() and answer.question == "What is it?"
        assert (answer.frame_stamp, answer.frame_id) == (shown.header.stamp, "eye")
        assert 0.0 <= answer.frame_age < 2.0 and answer.duration > 0.0
        logprobs = [item.chosen.logprob for item in response.probs]
        assert answer.confidence == pytest.approx(math.exp(sum(logprobs) / len(logprobs)), rel=1e-4)
    now = robot.client.ask_now("What is it?")
    assert now.answer == answer.answer and now.usage.cached_tokens > 16  # the tower did not run again


def test_choices_admit_nothing_else(ros):
    robot = Robot(ros)
    robot.show(A)
    for choices in (["yes", "no"], [str(n) for n in range(21)], ["on (the) table", "under it"], ["ja", "não"]):
        call = robot.client.ask("Well?", choices=choices, max_tokens=40)
        text, answer = "".join(call.text(DEADLINE_S)), call.result(0).answer
        assert text == answer.answer
        assert answer.answer in choices and 0.0 < answer.confidence <= 1.0
    # Two choices: the probabilities of both are all there is.
    assert "is no whole choice" in failure(robot.client.ask("Well?", choices=["incomprehensible"], max_tokens=1))


def test_compressed_frames(ros):
    robot = Robot(ros, kind=CompressedImage, topic="camera_c/compressed")
    file = io.BytesIO()
    Pillow.fromarray(A).save(file, "PNG")
    robot.show(images.compressed_to_ros(file.getvalue()))
    compressed = robot.client.ask_now("What is it?").answer
    raw = LLMClient(ros.client).chat("What is it?", images=[A], temp=0.0, max_tokens=8).result(DEADLINE_S)
    assert compressed == raw.message.content.strip()


def test_no_frame_an_old_one_and_another_type_are_told(ros):
    robot = Robot(ros, camera__max_frame_age=1.5)
    error = failure(robot.client.ask("What?"))
    assert "no frame on /camera_" in error and "1 publishers" in error
    robot.show(A, age=30.0)
    error = failure(robot.client.ask("What?"))
    assert "is 30." in error and "at most 1.5 s" in error and "its stamp says the rest" in error
    assert robot.client.ask("What?", max_frame_age=100.0).result(DEADLINE_S).answer.frame_age > 29.0
    assert "out of range" in failure(robot.client.ask("What?", max_frame_age=0.0))
    robot.show(A)
    robot.client.ask("What?").result(DEADLINE_S)
    trusting = Robot(ros, camera__use_stamps=False)
    trusting.show(A, age=30.0)
    assert trusting.client.ask_now("What?").frame_age < 5.0
    nobody = Robot(ros)
    ros.client.destroy_publisher(nobody.publisher)
    wait_until(lambda: not nobody.node.get_publishers_info_by_topic(nobody.node._camera.topic), "it is gone")
    assert "nobody publishes there" in failure(nobody.client.ask("What?"))
    with connect(domain_id=ros.domain) as elsewhere:  # one process cannot have two types on a topic
        elsewhere.create_publisher(CompressedImage, nobody.topic, qos_profile_sensor_data)
        wait_until(lambda: nobody.node.get_publishers_info_by_topic(nobody.node._camera.topic), "it is seen")
        error = failure(nobody.client.ask("What?"))
    assert "sensor_msgs/msg/CompressedImage is published there, sensor_msgs/msg/Image expected" in error


def test_a_broken_frame_is_named(ros):
    robot = Robot(ros)
    robot.show(Image(encoding="rgb8", height=2, width=2, step=1))
    assert "images[0].step is 1" in failure(robot.client.ask("What?"))


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(question=" "), "question is empty"),
        (dict(choices=["a", "A"]), "'a' and 'A'"),
        (dict(choices=["a", " b"]), r"choices\[1\] is ' b'"),
        (dict(choices=[""]), r"choices\[0\] is ''"),
        (dict(choices=[str(i) for i in range(1001)]), "choices are 1001"),
        (dict(max_tokens=0), "max_tokens = 0"),
        (dict(max_frame_age=float("nan")), "max_frame_age = nan"),
    ],
)
def test_questions_are_checked(fields, expected):
    request = AskService.Request(**({"question": "What?"} | fields))
    with pytest.raises(RequestError, match=expected):
        Question.from_ros(request, AskParams(), CameraParams())


def probs(*places):
    """Each place: (text, probability) of the tokens, the chosen one first."""
    found = []
    for place in places:
        data = [TokenProb(token=i, logprob=math.log(p), token_text=text) for i, (text, p) in enumerate(place)]
        found.append(TokenProbArray(chosen=data[0], data=data[1:]))
    return found


@pytest.mark.parametrize(
    "places, choices, answer, expected",
    [
        ([[("a", 0.25)], [("b", 1.0)]], (), "ab", 0.5),
        ([], (), "", 0.0),
        ([[("Yes", 0.3), ("no", 0.2), ("The", 0.5)]], ("yes", "no"), "yes", 0.6),
        ([[("Yes", 0.3), (" yes", 0.1), ("No", 0.1), (" no", 0.3)]], ("yes", "no"), "yes", 0.5),
        ([[("1", 0.6), ("2", 0.2)], [("0", 0.5), ("2", 0.5)]], ("10", "12", "2"), "10", 0.375),
        ([[("n", 0.5), ("y", 0.5)], [("o", 0.9), ("x", 0.1)]], ("yes", "no"), "no", 0.5),
    ],
)
def test_confidence(places, choices, answer, expected):
    assert confidence(probs(*places), choices, answer) == pytest.approx(expected)


def test_a_watch_asks_when_the_picture_changes(ros):
    robot = Robot(ros, watch__look_period=0.01)
    robot.show(A)
    call = robot.client.watch("What is it?", period=0.0, max_answers=3)
    feedback = call.feedback(DEADLINE_S)
    first = next(feedback)
    assert first.changed and first.picture_change == 0.0 and first.problem == ""
    looks = robot.node._camera
    robot.show(A)
    robot.show(np.clip(A.astype(int) + 12, 0, 255).astype(np.uint8))  # the exposure
    assert looks.number == 3
    robot.show(B)
    second = next(feedback)
    assert second.picture_change > 0.5 and second.changed and second.answer.answer != first.answer.answer
    robot.show(A)
    third = next(feedback)
    assert third.changed and third.answer.answer == first.answer.answer
    result = call.result(DEADLINE_S)
    assert result.answers == 3 and result.answer == third.answer


def test_a_watch_asks_every_period_and_ends_as_it_is_told(ros):
    robot = Robot(ros, camera__max_frame_age=60.0)
    robot.show(A)
    answer = robot.client.ask_now("What?", choices=["yes", "no"]).answer
    call = robot.client.watch("What?", choices=["yes", "no"], period=0.01, change=0.0, max_answers=4)
    found = list(call.feedback(DEADLINE_S))
    assert [piece.changed for piece in found] == [True, False, False, False] and call.result(0).answers == 4
    until = robot.client.watch("What?", choices=["yes", "no"], until=f"{answer.upper()}.").result(DEADLINE_S)
    assert (until.answers, until.answer.answer) == (1, answer)
    timed = robot.client.watch("What?", period=30.0, change=0.0, duration=0.05)
    assert timed.result(DEADLINE_S).answers == 1
    call = robot.client.watch("What?", period=0.0, change=1.0)
    next(call.feedback(DEADLINE_S))
    call.cancel()
    assert "cancelled by the client" in failure(call) and call.status == "cancelled"


def test_a_watch_tells_what_goes_wrong_and_goes_on(ros):
    robot = Robot(ros, watch__look_period=0.01)
    assert "no frame" in failure(robot.client.watch("What?"))
    robot.show(A)
    call = robot.client.watch("What?", period=0.0)
    feedback = call.feedback(DEADLINE_S)
    assert next(feedback).answer.answer
    robot.show(Image(encoding="rgb8", height=2, width=2, step=1))
    assert "step is 1" in next(feedback).problem
    robot.show(B)
    assert next(feedback).problem == ""
    call.cancel()
    call.wait(DEADLINE_S)


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(period=-1.0), "period = -1"),
        (dict(period=0.0, change=0.0), "period = 0 and change = 0"),
        (dict(change=2.0), "change = 2"),
        (dict(duration=float("inf")), "duration = inf"),
        (dict(choices=["yes", "no"], until="maybe"), "until is 'maybe'"),
        (dict(question=""), "question is empty"),
    ],
)
def test_watches_are_checked(checked, fields, expected):
    assert expected in failure(checked.client.watch(**({"question": "What?"} | fields)))


@pytest.fixture(scope="module")
def checked(ros):
    return Robot(ros)


def test_life_cycle_queue_and_deadline(ros):
    robot = Robot(ros, start=False, max_questions=1, grace_period=0.0)
    assert "is unconfigured, not active" in failure(robot.client.ask("What?"))
    with pytest.raises(CallError, match="not active"):
        robot.client.ask_now("What?")
    robot.start()
    robot.show(A)
    watch = robot.client.watch("What?", period=0.0, change=1.0)
    next(watch.feedback(DEADLINE_S))
    assert "1 questions are being answered, no more are taken" in failure(robot.client.ask("What?"))
    robot.node.trigger_deactivate()
    assert "deactivated" in failure(watch) and watch.status == "aborted"
    assert "is inactive, not active" in failure(robot.client.ask("What?"))
    robot.node.trigger_activate()
    wait_until(lambda: robot.publisher.get_subscription_count() == 1, "the camera is heard again")
    robot.show(A)
    assert robot.client.ask("What?", deadline=20.0).result(DEADLINE_S).answer.answer
    late = robot.client.ask("What?", deadline=0.05, max_frame_age=1e-6)
    assert "deadline of 0.05 s" in failure(late)
    with pytest.raises(CallError, match="deadline = 0: out of range"):
        robot.client.ask_now("What?", deadline=0.0)


def test_skills_are_answered_by_the_camera(ros):
    robot = Robot(ros, skills="detect count find_object")
    robot.show(A)
    results = {}
    for skill, argument in (("detect", "what"), ("count", "kind"), ("find_object", "object"), ("count", "nothing")):
        client = action_client(ros.client, ExecuteSkill, f"skills/{skill}", MutuallyExclusiveCallbackGroup())
        assert client.wait_for_server(DEADLINE_S)
        goal = ExecuteSkill.Goal(skill=skill, args=[PlanArg(name=argument, value="red_mug")])
        call = Call(client, goal, server=skill)
        try:
            results[skill, argument] = call.result(DEADLINE_S)
        except CallError as error:
            results[skill, argument] = error.result
    assert results["detect", "what"].success and results["detect", "what"].text
    assert 0 <= int(results["count", "kind"].text) <= 20
    said = robot.client.ask_now("Is there a red mug?", choices=["yes", "no"]).answer
    found = results["find_object", "object"]
    assert found.success == (said == "yes")
    assert list(found.facts) == ["found(red_mug)" if found.success else "not found(red_mug)"]
    assert "kind is missing" in results["count", "nothing"].outcome.message


@pytest.mark.parametrize("said", ["yes", "no"])
def test_what_a_search_means(said):
    result = SKILLS["find_object"].result("red_mug", CameraAnswer(answer=said))
    assert result.success == (said == "yes")
    assert result.outcome.code == (Outcome.UNKNOWN if result.success else Outcome.POSTCONDITION)


def test_without_an_llm_node_a_question_fails(ros):
    robot = Robot(ros, llm_node="nobody", llm_timeout=0.1)
    robot.show(A)
    assert "no nobody found within 0.1 s" in failure(robot.client.ask("What?"))


@pytest.mark.parametrize(
    "values, expected",
    [
        (dict(camera__transport="jpeg"), "camera.transport = 'jpeg'"),
        (dict(camera__topic=" "), "camera.topic = ' '"),
        (dict(watch__change=2.0), "watch.change = 2.0"),
        (dict(skills="count fly"), "skills has 'fly'"),
        (dict(max_frame_age=1.0), "unknown parameter max_frame_age"),
    ],
)
def test_parameters_are_checked(ros, values, expected):
    with pytest.raises(ParameterError, match=expected):
        ros.add(lambda **options: VQANode("wrong", **options), **values)
