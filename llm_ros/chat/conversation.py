"""One turn of a conversation: a control word is obeyed, a command goes to the planner, anything else to the model.

In: what a person said in a session; a `Robot` that plans and acts, a `Model` that talks; a job that may be stopped.
Out: a `Reply`, and every turn to `on_turn`. Control words are decided first and wait for nothing. Whether something is
a command the planner says. Its questions are kept in the session, so the next turn may be the answer. Who speaks again
while the model still answers interrupts it. Safe to call from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from llm_core.errors import LLMCoreError, RequestError
from llm_ros.chat import control as c
from llm_ros.chat.context import fit
from llm_ros.chat.session import Session, SessionStore, Turn
from llm_ros.chat.words import tell_plan, tell_state
from llm_ros.execution.outcome import Execution, Outcome, PlanStatus
from llm_ros.planner.plan import Plan

MAX_TEXT = 2000
_LOOK_EVERY_S = 0.05


class DialogueLost(LLMCoreError):
    """The planner does not know the question (any more) that was to be answered."""


@dataclass(frozen=True)
class Planned:
    """What the planner made of a turn; plan.status may be "talk". dialogue: id of the question. message: as it came."""

    plan: Plan
    dialogue: str = ""
    message: object = None


class Robot(Protocol):
    """What acts. `view` and `queued` are known at once, `stop` returns at once; the others wait for an answer."""

    def view(self) -> Execution:
        """What it is doing."""

    def queued(self) -> list[str]:
        """Commands that it does after that."""

    def stop(self) -> None:
        """Stops it and drops what is planned, queued or under way."""

    def pause(self, pause: bool) -> str:
        """Pauses it or lets it go on; why not, or ""."""

    def confirm(self, confirm_id: int, accept: bool) -> str:
        """Answers its question; why not, or ""."""

    def plan(self, session: str, text: str, dialogue: str, job) -> Planned:
        """Plans, and begins to carry out. Raises DialogueLost, LLMCoreError."""


class Model(Protocol):
    """What talks."""

    def room(self, job) -> int:
        """Most tokens of a conversation, the answer's left off. Raises LLMCoreError."""

    def count(self, text: str) -> int:
        """Tokens of a text. Raises LLMCoreError."""

    def answer(self, messages: list[dict[str, str]], on_text: Callable[[str], None], job) -> str:
        """The answer; joined, what on_text gets is the same. Raises LLMCoreError, also if the job was stopped."""


@dataclass(frozen=True)
class Reply:
    """What the robot says. kind: as in Turn. asks: an answer is waited for, among `choices` if there are any."""

    text: str
    kind: str
    asks: bool = False
    choices: tuple[str, ...] = ()
    planned: Planned | None = None


class Conversation:
    """robot: None where nothing acts, so that everything is talk. system: what the model is told first. budget: most
    tokens of what it is given; 0: as many as it takes. on_turn(session name, turn, reply or None): hears of every turn.
    """

    def __init__(
        self,
        store: SessionStore,
        model: Model,
        robot: Robot | None = None,
        system: str = "",
        budget: int = 0,
        on_turn: Callable[[str, Turn, Reply | None], None] = lambda name, turn, reply: None,
        log: Callable[[str], None] = lambda text: None,
    ):
        self.store, self._model, self._robot = store, model, robot
        self._system, self._budget, self._on_turn, self._log = system, budget, on_turn, log
        self._lock = threading.Lock()
        self._talking: dict[str, object] = {}

    def is_control(self, text: str) -> bool:
        """Whether this is a word that must not wait for anything."""
        return c.control(text, self._view()) is not None

    def hear(self, name: str, text: str, job, on_text: Callable[[str], None] = lambda piece: None) -> Reply:
        """The reply to what was said in session `name`. Raises LLMCoreError.

        job: `check()` raises once it was stopped, `stop(how, why)` stops it, `calls(call)` notes what works for it.
        """
        text = text.strip()
        if not text:
            raise RequestError("text is empty")
        if len(text) > MAX_TEXT:
            raise RequestError(f"text: {len(text)} characters, at most {MAX_TEXT} are taken")
        session = self.store.get(name)
        view = self._view()
        intent = c.control(text, view)
        if intent is not None:
            return self._obey(session, intent, text, view, on_text)
        self._interrupt(name)
        with self._turn(session, job):
            planned = self._ask_planner(session, text, job)
            if planned is not None and planned.plan.status != "talk":
                return self._task(session, text, planned, view, on_text)
            self._add(session, "user", text, "talk")
            turns = list(session.turns)
            with self._lock:
                self._talking[name] = job
        try:
            return self._talk(session, turns, view, job, on_text)
        finally:
            with self._lock:
                if self._talking.get(name) is job:
                    del self._talking[name]

    def news(self, name: str, text: str, asks: bool = False) -> None:
        """Something that the robot says by itself; after the reply to a command that is being planned."""
        session = self.store.get(name)
        with session.lock:
            self._reply(session, Reply(text, "news", asks))

    # Control words

    def _obey(self, session: Session, intent: str, text: str, view: Execution, on_text) -> Reply:
        robot = self._robot
        if intent == c.STOP and robot is not None:
            robot.stop()  # before anything else
        if intent == c.HUSH:
            self._interrupt(session.name)
            said = ""
        elif intent == c.STOP:
            talked = self._interrupt(session.name)
            asked, session.dialogue, session.question = session.dialogue, "", ""
            idle = view.status is PlanStatus.IDLE and not (robot and robot.queued())
            said = "All right." if idle and (talked or asked) else "I am not doing anything." if idle else "Stopping."
        elif intent == c.STATUS or robot is None:
            said = tell_state(view, robot.queued() if robot else ())
            said += f" I asked you: {session.question}" if session.question else ""
        elif intent in (c.YES, c.NO):
            why = robot.confirm(view.confirm_id, intent == c.YES)
            said = f"That came too late: {why}." if why else "All right."
        else:
            why = robot.pause(intent == c.PAUSE)
            said = f"I cannot: {why}." if why else "I wait." if intent == c.PAUSE else "I go on."
        self._add(session, "user", text, "control")
        on_text(said)
        return self._reply(session, Reply(said, "control"))

    def _interrupt(self, name: str) -> bool:
        """Ends an answer that is still being given in a session; whether there was one."""
        with self._lock:
            job = self._talking.pop(name, None)
        if job is not None:
            job.stop("aborted", "interrupted by what was said next")
        return job is not None

    # Commands

    def _ask_planner(self, session: Session, text: str, job) -> Planned | None:
        if self._robot is None:
            return None
        if session.dialogue:
            try:
                return self._robot.plan(session.name, text, session.dialogue, job)
            except DialogueLost:
                session.dialogue = session.question = ""
        return self._robot.plan(session.name, text, "", job)

    def _task(self, session: Session, text: str, planned: Planned, view: Execution, on_text) -> Reply:
        plan = planned.plan
        asks, choices = plan.status == "clarify", plan.inquiry.choices if plan.inquiry else ()
        if plan.status == "plan":
            busy = view.status is not PlanStatus.IDLE
            said = tell_plan(plan.steps, ([view.command, *self._robot.queued()[:-1]][-1] or "the plan") if busy else "")
        else:
            said = plan.message[:1].upper() + plan.message[1:]
            said += "" if said.endswith((".", "?", "!")) else "."
        self._add(session, "user", text, "task")
        session.dialogue, session.question = (planned.dialogue, plan.message) if asks else ("", "")
        on_text(said)
        return self._reply(session, Reply(said, "task", asks, choices, planned))

    # Talk

    def _talk(self, session: Session, turns: list[Turn], view: Execution, job, on_text) -> Reply:
        pieces: list[str] = []

        def take(piece: str) -> None:
            pieces.append(piece)
            on_text(piece)

        job.check()
        system = self._system
        if view.status is not PlanStatus.IDLE or view.outcome is not Outcome.UNKNOWN:
            system += f"\nWhat you do now, in your own words: {tell_state(view, self._robot.queued())}"
        room = self._model.room(job)
        messages = fit(system, turns, min(room, self._budget) if self._budget else room, self._model.count)
        try:
            text = self._model.answer(messages, take, job)
        except LLMCoreError:
            if "".join(pieces).strip():
                self._reply(session, Reply("".join(pieces) + " …", "talk"))
            raise
        return self._reply(session, Reply(text, "talk"))

    # Turns

    @contextmanager
    def _turn(self, session: Session, job) -> Iterator[None]:
        """One turn of a session after the other, as far as the planner is asked."""
        while not session.lock.acquire(timeout=_LOOK_EVERY_S):
            job.check()
        try:
            yield
        finally:
            session.lock.release()

    def _reply(self, session: Session, reply: Reply) -> Reply:
        if reply.text.strip():
            self._add(session, "assistant", reply.text, reply.kind, reply)
        return reply

    def _add(self, session: Session, role: str, text: str, kind: str, reply: Reply | None = None) -> None:
        try:
            turn = self.store.add(session, role, text, kind)
        except OSError as error:
            self._log(f"session {session.name} cannot be saved: {error}")
            turn = session.turns[-1]
        self._on_turn(session.name, turn, reply)

    def _view(self) -> Execution:
        return self._robot.view() if self._robot is not None else Execution()


__all__ = ["Conversation", "DialogueLost", "Model", "Planned", "Reply", "Robot"]
