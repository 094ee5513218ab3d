"""What a node needs to hand plans to other tools: the service `~/export_plan`. An adapter of llm_ros.planner.export."""

from __future__ import annotations

from llm_ros.msg import Plan
from llm_ros.srv import ExportPlan
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import RequestError
from llm_ros.execution import Knowledge
from llm_ros.execution_conversions import steps_from_ros
from llm_ros.planner.export import export
from llm_ros.planner.plan import PlanError

_FORMATS = {ExportPlan.Request.BT: "bt", ExportPlan.Request.PDDL: "pddl"}


class ExportServer:
    """See the module."""

    def __init__(self, node, knowledge: Knowledge):
        self._knowledge, self._latest = knowledge, Plan()
        group = MutuallyExclusiveCallbackGroup()
        node.create_service(ExportPlan, "~/export_plan", self._export, callback_group=group)

    def note(self, plan: Plan) -> None:
        """A plan was made: the one that is meant by a request without steps."""
        if plan.status == Plan.PLANNED:
            self._latest = plan

    def _export(self, request, response):
        try:
            if request.format not in _FORMATS:
                known = ", ".join(f"{code} ({name})" for code, name in _FORMATS.items())
                raise RequestError(f"format = {request.format}: expected one of {known}")
            latest = self._latest
            if not (request.steps or latest.steps):
                raise RequestError("steps is empty, and no command has been planned yet")
            planner = self._knowledge.planner()
            steps = steps_from_ros(request.steps or latest.steps, planner.skills)
            command = request.command or ("" if request.steps else latest.command)
            texts = export(_FORMATS[request.format], steps, planner.skills, planner.world, command)
        except (RequestError, PlanError) as error:
            response.error = str(error)
        else:
            response.success = True
            response.text = texts.get("tree") or texts["domain"]
            response.problem = texts.get("problem", "")
        return response
