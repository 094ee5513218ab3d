"""Questions about a camera's frames, asked of llm_node: once, and again and again.

In: a Camera, an LLMClient, a Question; a Job that may be stopped. Out: CameraAnswer messages. Runs in the job's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from llm_ros.action import Watch
from llm_ros.msg import CameraAnswer

from llm_core.errors import LLMCoreError, RequestError
from llm_ros.camera import Camera, Frame
from llm_ros.client import LLMClient
from llm_ros.images import changed_share, thumbnail
from llm_ros.nodes.jobs import Job, Stopped
from llm_ros.params import AskParams, CameraParams, WatchParams
from llm_ros.questions import Question

MAX_SECONDS = 86_400.0


class Asker:
    """Asks `client`'s model about the newest frames of `camera`."""

    def __init__(self, camera: Camera, client: LLMClient, frame_wait: float, params: AskParams):
        self.camera, self._client = camera, client
        self._frame_wait, self._params = frame_wait, params

    def ask(self, job: Job, question: Question, on_text: Callable[[str], None] = lambda piece: None) -> CameraAnswer:
        """The answer for a frame that is young enough when the model is there. Raises CallError, CameraError,
        RequestError."""
        return self.ask_about(job, question, self.frame(job, question), on_text)

    def frame(self, job: Job, question: Question) -> Frame:
        """The frame to ask about now. Raises CallError, CameraError."""
        self._client.wait_ready(self._params.llm_timeout, cancelled=job.stopped)
        return self.camera.frame(question.max_frame_age, self._frame_wait, cancelled=job.stopped)

    def ask_about(self, job: Job, question: Question, frame: Frame, on_text=lambda piece: None) -> CameraAnswer:
        """The answer for this frame; joined, what `on_text` gets is the answer. Raises CallError, RequestError."""
        begun, text, told = time.monotonic(), "", ""
        call = self._client.chat(question.messages, images=[frame.message], **question.sampling)
        job.calls(call)
        try:
            for piece in call.text():
                text += piece
                new = text.strip()[len(told) :]
                if new and not question.choices:
                    on_text(new)
                    told += new
            response = call.result(timeout=0).response
        finally:
            call.cancel()
        answer = question.answer_to_ros(response, frame, time.monotonic() - begun)
        if question.choices:  # spelt as there, not as the model did
            on_text(answer.answer)
        return answer


class Watcher:
    """One goal of Watch. Raises RequestError for fields that mean nothing."""

    def __init__(self, goal: Watch.Goal, ask: AskParams, camera: CameraParams, watch: WatchParams):
        self.question = Question.from_ros(goal, ask, camera)
        self._change = watch.change if goal.change == -1.0 else goal.change
        self._period, self._duration = goal.period, goal.duration
        self._until, self._max_answers, self._look_period = _bare(goal.until), goal.max_answers, watch.look_period
        for name, value, high in (
            ("period", self._period, MAX_SECONDS),
            ("duration", self._duration, MAX_SECONDS),
            ("change", self._change, 1.0),
        ):
            if not 0.0 <= value <= high:
                raise RequestError(f"{name} = {value:g}: out of range [0, {high:g}]")
        if not self._period and not self._change:
            raise RequestError("period = 0 and change = 0: one of them must say when to ask again")
        if self._until and self.question.choices and self._until not in map(_bare, self.question.choices):
            raise RequestError(f"until is {goal.until!r}: none of choices")

    def watch(self, job: Job, asker: Asker, tell: Callable[[Watch.Feedback], None]) -> tuple[CameraAnswer, int]:
        """(the last answer, how many). The first question must succeed; what goes wrong later is told, and it goes on.
        Raises CallError, CameraError, RequestError, Stopped."""
        last, count, picture = None, 0, None
        while True:
            begun = time.monotonic()
            try:
                frame = asker.frame(job, self.question)
                seen = thumbnail(frame.message) if self._change else None
                answer = asker.ask_about(job, self.question, frame)
            except Stopped:
                raise
            except LLMCoreError as error:
                job.check()
                if last is None:
                    raise
                number = asker.camera.number
                tell(Watch.Feedback(problem=str(error)))
            else:
                share = 0.0 if picture is None or seen is None else changed_share(picture, seen)
                changed = last is None or _bare(answer.answer) != _bare(last.answer)
                last, count, picture, number = answer, count + 1, seen, frame.number
                tell(Watch.Feedback(answer=answer, changed=changed, picture_change=share))
                if count == self._max_answers or self._until and _bare(answer.answer) == self._until:
                    return last, count
            if not self._wait(job, asker.camera, begun, picture, number):
                return last, count

    def _wait(self, job, camera, begun, picture, number) -> bool:
        """Waits until it is time to ask again; False if the duration is over before."""
        again = begun + self._period if self._period else float("inf")
        over = job.begun + self._duration if self._duration else float("inf")
        end, look = min(again, over), time.monotonic()
        while (now := time.monotonic()) < end:
            if now < look or not self._change:  # no look at frames before it is time for one
                until = min(end, look) if self._change else end
                camera.wait(job.stopped, _seconds(until - now))
            else:
                camera.wait(lambda number=number: camera.number != number or job.stopped(), _seconds(end - now))
            job.check()
            frame = camera.latest()
            if self._change and time.monotonic() >= look and frame is not None and frame.number != number:
                number, look = frame.number, time.monotonic() + self._look_period
                if self._differs(picture, frame):
                    return True
        return over > end or over > time.monotonic()

    def _differs(self, picture, frame) -> bool:
        try:
            return changed_share(picture, thumbnail(frame.message)) >= self._change
        except RequestError:  # a broken frame: the next question will say so
            return True


def _seconds(value: float) -> float | None:
    return None if value == float("inf") else value


def _bare(text: str) -> str:
    return text.strip().rstrip(".!").casefold()
