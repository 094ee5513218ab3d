"""Conversations without ROS: control words, commands and answers, talk, interruption, memory, context, words."""

import json
import threading
from dataclasses import replace

import pytest

from llm_core.errors import LLMCoreError, RequestError
from llm_ros.chat import Conversation, DialogueLost, Planned, SessionError, SessionStore, Turn
from llm_ros.chat import control as c
from llm_ros.chat.context import TURN_TOKENS, fit
from llm_ros.chat.words import tell_end, tell_plan, tell_state
from llm_ros.execution import Execution, Outcome
from llm_ros.execution.outcome import PlanStatus, StepReport
from llm_ros.planner import Plan, Step
from llm_ros.planner.inquiry import Inquiry
from llm_ros.planner.plan import clarify, refuse

IDLE = Execution()
BUSY = Execution(PlanStatus.RUNNING, command="bring me an apple", current=0, time_left=30.0)
BUSY = replace(BUSY, reports=(StepReport(Step("go_to", {"location": "kitchen_table"})),) * 2)
PAUSED = replace(BUSY, status=PlanStatus.PAUSED)
ASKING = replace(BUSY, status=PlanStatus.CONFIRM, question="Should I hand it over?", confirm_id=7)


class Stopped(LLMCoreError):
    pass


class Work:
    """What a job is to a conversation."""

    def __init__(self):
        self.why = None
        self.ended = threading.Event()

    def stop(self, how, why):
        self.why = why
        self.ended.set()

    def stopped(self):
        return self.why is not None

    def check(self):
        if self.why:
            raise Stopped(self.why)


class FakeRobot:
    """Plans by a table of texts; the rest is talk. `log` holds what it was told to do."""

    def __init__(self, **plans):
        self.now, self.waiting, self.log, self.plans, self.trouble = IDLE, [], [], {}, ""
        self.lost = False

    def view(self):
        return self.now

    def queued(self):
        return self.waiting

    def stop(self):
        self.log.append("stop")

    def pause(self, pause):
        self.log.append("pause" if pause else "resume")
        return self.trouble

    def confirm(self, confirm_id, accept):
        self.log.append((confirm_id, accept))
        return self.trouble

    def plan(self, session, text, dialogue, job):
        self.log.append(("plan", text, dialogue))
        if dialogue and self.lost:
            raise DialogueLost("no such question")
        return Planned(self.plans.get(text, Plan("talk")), "d1" if "table" in text else "")


class FakeModel:
    """Answers with what it is told to, word by word; counts words. `asked` holds the messages."""

    def __init__(self, answer="I am fine.", room=1000):
        self.text, self.size, self.asked, self.hold = answer, room, [], None

    def room(self, job):
        return self.size

    def count(self, text):
        return len(text.split())

    def answer(self, messages, on_text, job):
        self.asked.append(messages)
        for number, word in enumerate(self.text.split()):
            if self.hold and number == self.hold[0]:
                self.hold[1].set()
                assert job.ended.wait(10)
            job.check()
            on_text(f"{' ' if number else ''}{word}")
        return self.text


@pytest.fixture
def talk(tmp_path):
    heard = []
    store = SessionStore(tmp_path / "chats")
    conversation = Conversation(store, FakeModel(), FakeRobot(), "Be nice.", on_turn=lambda *turn: heard.append(turn))
    conversation.heard = heard
    conversation.robot, conversation.model = conversation._robot, conversation._model
    return conversation


def hear(conversation, text, session="a", job=None):
    return conversation.hear(session, text, job or Work())


@pytest.mark.parametrize(
    "text, view, intent",
    [
        *((text, view, c.STOP) for view in (IDLE, BUSY, PAUSED, ASKING) for text in ("Stop!", "no, stop it right now")),
        *((text, BUSY, c.STOP) for text in ("halt", "Please stop", "stop stop stop", "cancel that", "freeze, robot")),
        *((text, BUSY, c.STOP) for text in ("don't move", "abort", "Robot, stop what you are doing!", "that's enough")),
        *((text, BUSY, None) for text in ("stop at the kitchen", "don't stop", "where is the bus stop?")),
        *((text, BUSY, c.PAUSE) for text in ("pause", "wait", "Hold on a moment, please", "wait a minute", "hang on")),
        *((text, IDLE, None) for text in ("pause", "wait", "yes", "no", "go on", "how is it going?")),
        *((text, BUSY, None) for text in ("wait ten seconds", "yes", "go on", "wait at the door", "pause the music")),
        *((text, PAUSED, c.RESUME) for text in ("go on", "Continue!", "you can go on now", "ok, carry on", "go ahead")),
        *((text, ASKING, c.YES) for text in ("yes", "Yes, please.", "ok", "go ahead", "sure, do it")),
        *((text, ASKING, c.NO) for text in ("no", "No, thanks!", "don't do it", "better not")),
        *((text, ASKING, None) for text in ("maybe", "why?", "yesterday", "no idea")),
        *((text, IDLE, c.STATUS) for text in ("what are you doing?", "Are you busy?", "status", "are you done yet?")),
        *((text, BUSY, c.STATUS) for text in ("how is it going?", "how long will it take?", "what's next?")),
        *((text, IDLE, c.HUSH) for text in ("be quiet", "stop talking!", "shush")),
        *((text, IDLE, None) for text in ("what are you?", "what are you doing in my kitchen", "hello", "", "...")),
    ],
)
def test_control_words(text, view, intent):
    assert c.control(text, view) == intent


def test_control_words_are_obeyed(talk):
    talk.robot.now = BUSY
    assert hear(talk, "stop").text == "Stopping." and talk.robot.log == ["stop"]
    assert hear(talk, "pause").text == "I wait."
    talk.robot.now = PAUSED
    assert hear(talk, "go on").text == "I go on."
    talk.robot.trouble = "it is not paused"
    assert hear(talk, "go on").text == "I cannot: it is not paused."
    talk.robot.now, talk.robot.trouble = ASKING, ""
    assert hear(talk, "yes").text == "All right." and hear(talk, "no").text == "All right."
    assert talk.robot.log[1:] == ["pause", "resume", "resume", (7, True), (7, False)]
    talk.robot.now = IDLE
    assert hear(talk, "stop").text == "I am not doing anything." and talk.robot.log[-1] == "stop"
    assert not talk.model.asked and all(turn.kind == "control" for _, turn, _ in talk.heard)


def test_what_it_is_doing(talk):
    assert hear(talk, "what are you doing?").text == "I am not doing anything."
    talk.robot.now, talk.robot.waiting = BUSY, ["bring a spoon"]
    said = hear(talk, "what are you doing?").text
    doing = 'I am working on "bring me an apple", step 1 of 2: go to kitchen table. About 30 s to go.'
    assert said == f'{doing} Next: "bring a spoon".'
    done = replace(BUSY, status=PlanStatus.IDLE, outcome=Outcome.SUCCEEDED)
    assert tell_state(done) == 'I am not doing anything. The latest was "bring me an apple": done.'
    assert tell_state(ASKING) == "I am waiting for a yes or no: Should I hand it over?"
    assert tell_state(PAUSED).startswith('I have paused "bring me an apple"')
    assert tell_end(done) == 'Done: "bring me an apple".'
    failed = replace(done, outcome=Outcome.EXECUTION, message="no apple.")
    assert tell_end(failed) == 'I could not do "bring me an apple": no apple.'
    assert tell_end(replace(done, outcome=Outcome.CANCELED)) == 'I have stopped "bring me an apple".'
    assert tell_plan([Step("wait", {"seconds": 1})] * 14).endswith("wait 1, and 2 more steps.")
    told = Step("say", {"text": "There are {result}."})
    assert tell_plan([Step("find_person", {"person": "me"}), told]) == "All right: find person you, say There are …."


def test_commands_go_to_the_planner(talk):
    talk.robot.plans["go home"] = Plan("plan", (Step("go_to", {"location": "hall"}), Step("say", {"text": "hi"})))
    reply = hear(talk, "go home")
    assert (reply.kind, reply.text, reply.planned.plan.status) == ("task", "All right: go to hall, say hi.", "plan")
    talk.robot.now, talk.robot.waiting = BUSY, ["go home"]  # the robot is at work: this one waits for its turn
    assert hear(talk, "go home").text.startswith('I will do that after "bring me an apple": go to hall')
    talk.robot.waiting = ["bring a spoon", "go home"]
    assert hear(talk, "go home").text.startswith('I will do that after "bring a spoon": go to hall')
    talk.robot.plans["kill Bob"] = refuse("unsafe", "I will not do that (kill)")
    assert hear(talk, "kill Bob").text == "I will not do that (kill)."
    assert not talk.model.asked


def test_the_answer_to_a_question_goes_to_its_dialogue(talk):
    question = clarify(Inquiry("Which table?", "place", ("a", "b")))
    talk.robot.plans |= {"to the table": question, "the first": Plan("plan", (Step("go_to", {"location": "a"}),))}
    reply = hear(talk, "to the table")
    assert (reply.text, reply.asks, reply.choices) == ("Which table?", True, ("a", "b"))
    other = hear(talk, "the first", session="b")  # another conversation knows nothing of it
    assert talk.robot.log[-1] == ("plan", "the first", "") and other.text == "All right: go to a."
    said = hear(talk, "what are you doing?").text  # … and a control word leaves it open
    assert said == "I am not doing anything. I asked you: Which table?"
    hear(talk, "the first")
    assert talk.robot.log[-1] == ("plan", "the first", "d1")
    hear(talk, "the first")
    assert talk.robot.log[-1] == ("plan", "the first", "")
    hear(talk, "to the table")
    hear(talk, "stop")
    hear(talk, "the first")
    assert talk.robot.log[-1] == ("plan", "the first", "")


def test_a_question_that_the_planner_forgot(talk):
    talk.robot.plans["to the table"] = clarify("Which table?")
    hear(talk, "to the table")
    talk.robot.lost = True
    assert hear(talk, "the first").kind == "talk"
    assert talk.robot.log[-2:] == [("plan", "the first", "d1"), ("plan", "the first", "")]


def test_talk_is_streamed_and_remembered(talk):
    pieces = []
    reply = talk.hear("a", "How are you?", Work(), pieces.append)
    assert (reply.kind, reply.text, "".join(pieces)) == ("talk", "I am fine.", "I am fine.")
    hear(talk, "Good.")
    assert talk.model.asked[1] == [
        {"role": "system", "content": "Be nice."},
        {"role": "user", "content": "How are you?"},
        {"role": "assistant", "content": "I am fine."},
        {"role": "user", "content": "Good."},
    ]
    talk.robot.now = BUSY
    hear(talk, "Are you sure?")
    assert "What you do now" in talk.model.asked[2][0]["content"]
    assert [(turn.role, turn.kind) for _, turn, _ in talk.heard] == [("user", "talk"), ("assistant", "talk")] * 3


def test_who_speaks_again_interrupts_the_answer(talk):
    for word in ("stop", "be quiet", "and now?"):
        talk.model.hold = 2, threading.Event()
        first, failure = Work(), []

        def ask(first=first, failure=failure):
            try:
                hear(talk, "Tell me something", job=first)
            except Stopped as error:
                failure.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        assert talk.model.hold[1].wait(10)
        talk.model.hold = None
        hear(talk, word)
        thread.join(10)
        assert failure == ["interrupted by what was said next"]
        assert "I am …" in [turn.text for turn in talk.store.get("a").turns[-4:]]


def test_news_come_after_the_reply(talk):
    session = talk.store.get("a")
    with session.lock:  # a command is being planned
        thread = threading.Thread(target=talk.news, args=("a", "Done."))
        thread.start()
        talk.store.add(session, "assistant", "All right.", "task")
    thread.join(10)
    assert [turn.text for turn in session.turns] == ["All right.", "Done."]


def test_what_cannot_be_heard(talk):
    for text, session, words in (
        ("  ", "a", "text is empty"),
        ("x" * 2001, "a", "2001 characters"),
        ("hi", "../a", "session_id = '../a'"),
        ("hi", ".a", "session_id"),
        ("hi", "", "session_id"),
        ("hi", "a" * 65, "session_id"),
    ):
        with pytest.raises(RequestError, match=words):
            hear(talk, text, session)
    assert not talk.heard and talk.store.names() == []
    stopped = Work()
    stopped.stop("cancelled", "gone")
    with pytest.raises(Stopped):
        hear(talk, "hi", job=stopped)


def test_without_a_planner_all_is_talk(tmp_path):
    talk = Conversation(SessionStore(tmp_path), FakeModel())
    assert hear(talk, "bring me an apple").kind == "talk" and hear(talk, "stop").text == "I am not doing anything."


# Sessions


def test_sessions_survive_a_restart(tmp_path):
    store = SessionStore(tmp_path, clock=lambda: 12.5)
    session = store.get("kitchen.1")
    store.add(session, "user", "Grüß Gott 😀", "talk")
    session.dialogue, session.question = "d1", "Which?"
    store.save(session)
    again = SessionStore(tmp_path).get("kitchen.1")
    assert again == session and again.turns == [Turn("user", "Grüß Gott 😀", "talk", 12.5)] and again.dialogue == "d1"
    assert SessionStore(tmp_path).names() == ["kitchen.1"]
    store.forget("kitchen.1")
    assert list(tmp_path.iterdir()) == [] and SessionStore(tmp_path).get("kitchen.1").turns == []
    with pytest.raises(SessionError, match="'kitchen.1': there is no such conversation"):
        store.find("kitchen.1")


def test_sessions_are_bounded(tmp_path):
    store = SessionStore(tmp_path, max_sessions=2, max_turns=3)
    for name in ("a", "b", "c"):
        for number in range(5):
            store.add(store.get(name), "user", f"{number}" * 9000, "talk")
    assert store.names() == ["c", "b"] and store.get("a").turns == []
    assert [turn.text[:1] for turn in store.get("c").turns] == ["2", "3", "4"]
    assert all(len(turn.text) == 8000 for turn in store.get("c").turns)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"turns": [{"role": "x", "text": ""}]}', "[" * 100000, "\x00\xff"])
def test_a_broken_file_is_put_aside(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="latin-1")
    said = []
    store = SessionStore(tmp_path, log=said.append)
    session = store.get("a")
    assert session.turns == [] and "moved to a.broken" in said[0] and (tmp_path / "a.broken").is_file()
    store.add(session, "user", "hi", "talk")
    assert json.loads((tmp_path / "a.json").read_text())["turns"][0]["text"] == "hi"


def test_a_file_is_whole_or_as_before(tmp_path, monkeypatch):
    store = SessionStore(tmp_path)
    store.add(store.get("a"), "user", "hi", "talk")
    before = (tmp_path / "a.json").read_bytes()

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        store.add(store.get("a"), "user", "more", "talk")
    assert (tmp_path / "a.json").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.json"]
    talk = Conversation(store, FakeModel(), log=(said := []).append)
    assert hear(talk, "still there?").text == "I am fine." and "no space left" in said[0]


# Context


def turns(*texts):
    return [Turn(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]


def words(messages):
    return sum(len(message["content"].split()) + TURN_TOKENS for message in messages)


def count(text):
    return len(text.split())


def test_all_turns_that_fit_are_kept():
    talk = turns("one two", "three", "four five six")
    asked = fit("system text", talk, 1000, count)
    assert [message["content"] for message in asked] == ["system text", "one two", "three", "four five six"]
    assert fit("system text", talk, words(asked), count) == asked


@pytest.mark.parametrize("budget", range(60, 800, 37))
def test_old_turns_make_room_and_leave_their_gist(budget):
    talk = turns(*(f"turn {number} " + "word " * (number % 17) for number in range(41)))
    asked = fit("system text", talk, budget, count)
    assert words(asked) <= budget
    assert asked[-1]["content"] == talk[-1].text
    assert [message["role"] for message in asked[1:]] == [("user", "assistant")[k % 2] for k in range(len(asked) - 1)]
    kept = [message["content"] for message in asked[1:]]
    assert kept == [turn.text for turn in talk[-len(kept) :]]
    dropped = talk[len(talk) - len(kept) - 2]  # the person's latest turn that is not there in full
    assert budget < 300 or " ".join(dropped.text.split()[:2]) in asked[0]["content"]


def test_turns_in_a_row_are_one_message():
    talk = [Turn("assistant", "x"), Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c"), Turn("user", "d")]
    assert fit("", talk, 1000, count) == [
        {"role": "system", "content": ""},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]


def test_of_commands_only_the_gist_is_told():
    talk = [Turn("user", "My name is Ada"), Turn("assistant", "Hi"), Turn("user", "bring an apple", "task")]
    talk += [Turn("assistant", "All right: go.", "task"), Turn("assistant", "Done.", "news")]
    talk += [Turn("user", "stop", "control"), Turn("assistant", "Stopping.", "control"), Turn("user", "Who am I?")]
    assert fit("Be nice.", talk, 1000, count) == [
        {"role": "system", "content": "Be nice.\nEarlier the person said: bring an apple"},
        {"role": "user", "content": "My name is Ada"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Who am I?"},
    ]
    told = fit("", [*(Turn("user", f"go {k}", "task") for k in range(40)), Turn("user", "hi")], 1000, count)
    assert told[0]["content"].endswith("go 28 | " + " | ".join(f"go {k}" for k in range(29, 40)))


def test_what_cannot_fit_is_an_error():
    with pytest.raises(RequestError, match="text: too long for the model: 127 tokens"):
        fit("one two three", turns("word " * 100), 100, count)
