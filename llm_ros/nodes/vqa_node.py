"""vqa_node: questions about what a camera sees, as a lifecycle node that holds no model of its own.

It keeps the camera's newest frame and sends it with the question to llm_node, whose model sees (`model.mmproj`): one
model in memory serves text, plans and pictures, with one queue and one cache. Configure checks, activate listens to
the camera and serves, deactivate stops both. Each question has a thread of its own (jobs.py): no callback waits.
"""

from __future__ import annotations

from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from llm_ros.action import Ask, ExecuteSkill, Watch
from llm_ros.msg import CameraAnswer, Outcome
from llm_ros.srv import Ask as AskService
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import LLMCoreError, RequestError
from llm_ros import conversions as convert
from llm_ros import qos
from llm_ros.camera import Camera
from llm_ros.camera_skills import chosen
from llm_ros.client import LLMClient
from llm_ros.nodes.action_server import ABORT, CANCELED, SUCCEED
from llm_ros.nodes.asking import Asker, Watcher
from llm_ros.nodes.deferred_service import create_deferred_service
from llm_ros.nodes.diagnostics import camera_status, diagnostic_array
from llm_ros.nodes.goal_server import GoalServer
from llm_ros.nodes.jobs import Job, Jobs
from llm_ros.nodes.lifecycle import LifecycleNode
from llm_ros.nodes.run import run_node
from llm_ros.params import AskParams, CameraParams, ParameterError, ServingParams, StartParams, WatchParams, read
from llm_ros.questions import Question


class VQANode(LifecycleNode):
    """See the module. Raises ParameterError for parameters that cannot be used."""

    GROUPS = (CameraParams, AskParams, WatchParams, ServingParams, StartParams)
    FIXED = (CameraParams, AskParams)

    def __init__(self, name: str = "vqa_node", **node_options):
        super().__init__(name, **node_options)
        self._camera: Camera | None = None
        self._client: LLMClient | None = None
        self._jobs = Jobs()
        self._servers = [
            GoalServer(self, Ask, f"{self.get_name()}/ask", self._begin_ask),
            GoalServer(self, Watch, f"{self.get_name()}/watch", self._begin_watch),
        ]
        self._servers += [
            GoalServer(self, ExecuteSkill, f"skills/{name}", partial(self._begin_skill, skill))
            for name, skill in self._skills().items()
        ]
        create_deferred_service(
            self,
            AskService,
            "~/ask",
            self._serve_ask,
            callback_group=MutuallyExclusiveCallbackGroup(),
            qos_profile=qos.SERVICES,
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._every_second, callback_group=MutuallyExclusiveCallbackGroup())

    def _skills(self):
        try:
            return chosen(read(self, AskParams).skills)
        except RequestError as error:
            raise ParameterError(str(error)) from None

    # Lifecycle

    def _load(self):
        self._client = LLMClient(self, read(self, AskParams).llm_node)

    def _serve(self):
        camera = read(self, CameraParams)
        self._camera = Camera(self, camera.topic, camera.transport, camera.use_stamps)
        self.get_logger().info(f"answering questions about {self._camera.topic} by {self._client.server}")

    def _stop_serving(self):
        grace = read(self, ServingParams).grace_period
        if not self._jobs.drain(grace):
            count = self._jobs.stop_all(f"{self.get_name()} was deactivated and it took longer than {grace:g} s to end")
            self._jobs.drain(10.0)
            self.get_logger().warning(f"aborted {count} questions")
        self._close_camera()

    def _free(self):
        self._jobs.stop_all(f"{self.get_name()} was shut down")
        self._jobs.drain(10.0)
        self._close_camera()
        client, self._client = self._client, None
        if client is not None:
            client.destroy()

    def _close_camera(self):
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    # Questions

    def _run(self, prepare, deadline: float, on_done):
        """Starts the job whose work `prepare()` gives; `on_done(state, value or None, error)` once. Returns the Job, or
        None if it could not be begun."""
        try:
            self.check_active()
            params = read(self, AskParams)
            if self._jobs.count >= params.max_questions:
                raise RequestError(f"{self._jobs.count} questions are being answered, no more are taken")
            job = Job(prepare(), on_done, convert.deadline_from_ros(deadline), self._camera.wake)
        except LLMCoreError as error:
            on_done(ABORT, None, str(error))
            return None
        job.start(self._jobs)
        return job

    def _asker(self) -> Asker:
        return Asker(self._camera, self._client, read(self, CameraParams).frame_wait, read(self, AskParams))

    def _prepare_ask(self, request, on_text):
        question = Question.from_ros(request, read(self, AskParams), read(self, CameraParams))
        asker = self._asker()
        return lambda job: asker.ask(job, question, on_text)

    def _begin_ask(self, goal, on_feedback, on_done):
        def on_text(piece):
            on_feedback(Ask.Feedback(text=piece))

        def done(state, answer, error):
            on_done(state, Ask.Result(answer=answer or _nothing(goal), error=error), error)

        return self._run(lambda: self._prepare_ask(goal, on_text), goal.deadline, done)

    def _serve_ask(self, request, reply):
        def done(state, answer, error):
            if error:
                self.get_logger().warning(f"ask: {error}")
            reply(AskService.Response(answer=answer or _nothing(request), success=state == SUCCEED, error=error))

        if not 0.0 < request.deadline <= 3600.0:
            done(ABORT, None, f"deadline = {request.deadline:g}: out of range (0, 3600] seconds")
            return
        self._run(lambda: self._prepare_ask(request, lambda piece: None), request.deadline, done)

    def _begin_watch(self, goal, on_feedback, on_done):
        def prepare():
            watcher = Watcher(goal, *(read(self, group) for group in (AskParams, CameraParams, WatchParams)))
            asker = self._asker()
            return lambda job: watcher.watch(job, asker, on_feedback)

        def done(state, value, error):
            answer, count = value or (_nothing(goal), 0)
            on_done(state, Watch.Result(answer=answer, answers=count, error=error), error)

        return self._run(prepare, 0.0, done)

    def _begin_skill(self, skill, goal, _on_feedback, on_done):
        def prepare():
            value = skill.value(goal)
            work = self._prepare_ask(skill.ask(value), lambda piece: None)
            return lambda job: skill.result(value, work(job))

        def done(state, result, error):
            if result is None:
                code = Outcome.CANCELED if state == CANCELED else Outcome.EXECUTION
                result = ExecuteSkill.Result(outcome=Outcome(code=code, message=error))
            elif not result.success:
                state = ABORT
            on_done(state, result, error)

        return self._run(prepare, 0.0, done)

    def _every_second(self):
        for server in self._servers:
            server.drop_orphans()
        camera = self._camera
        frame = camera.latest() if camera is not None else None
        status = camera_status(self.get_name(), self._state, camera, frame, self._jobs.count, read(self, CameraParams))
        self._diagnostics.publish(diagnostic_array(self.get_clock().now().to_msg(), status))


def _nothing(request) -> CameraAnswer:
    return CameraAnswer(question=request.question)


def main(args=None) -> int:
    """Entry point of the executable `vqa_node`."""
    return run_node(VQANode, args)


if __name__ == "__main__":
    raise SystemExit(main())
