"""What a node needs to let its world be changed: reload, update_world, get_world, perception, and other files by
parameter.

In: `Knowledge` and a node with the parameters `skills_file` and `world_file`. Out: the services `~/reload`,
`~/update_world`, `~/get_world`, the subscription `~/seen`. An adapter: all that is checked is checked elsewhere.
"""

from __future__ import annotations

from llm_ros.msg import SeenObject
from llm_ros.srv import GetWorld, Reload, UpdateWorld
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import QoSProfile

from llm_core.errors import LLMCoreError, RequestError
from llm_ros.execution.knowledge import Knowledge
from llm_ros.params import DomainParams, ExecutionParams, PlannerParams, check_change
from llm_ros.planner import ConfigError
from llm_ros.planner.world_edit import ChangeError
from llm_ros.share import config_file
from llm_ros.world_conversions import change_from_ros, items_to_ros, seen_from_ros

MAX_CHANGES = 1000
SEEN_DEPTH = 100
_ERRORS = (LLMCoreError, ChangeError, ConfigError, OSError)


def files(node, **changed: str) -> dict[str, str]:
    """The skill and the world file that the parameters name (`changed`: parameters that are about to be set)."""
    given = {name: changed.get(name, node.get_parameter(name).value) for name in ("skills_file", "world_file")}
    return {
        "skills": given["skills_file"] or str(config_file("skills.yaml")),
        "world": given["world_file"] or str(config_file("world.yaml")),
    }


class WorldServer:
    """See the module."""

    def __init__(self, node, knowledge: Knowledge):
        self._node, self._knowledge = node, knowledge
        group = MutuallyExclusiveCallbackGroup()
        node.create_service(Reload, "~/reload", self._reload, callback_group=group)
        node.create_service(UpdateWorld, "~/update_world", self._update, callback_group=group)
        node.create_service(GetWorld, "~/get_world", self._get, callback_group=group)
        node.create_subscription(SeenObject, "~/seen", self._see, QoSProfile(depth=SEEN_DEPTH), callback_group=group)
        node.add_on_set_parameters_callback(self._set)

    def _reload(self, _request, response):
        try:
            self._knowledge.reload(**files(self._node))
        except _ERRORS as error:
            response.error = f"kept the old files: {error}"
        response.success = not response.error
        return response

    def _set(self, parameters):
        """Another file is taken at once, or the parameter keeps its value."""
        changed = {p.name: p.value for p in parameters if p.name in ("skills_file", "world_file")}
        groups = (DomainParams, ExecutionParams, PlannerParams)
        others = [parameter for parameter in parameters if parameter.name not in changed]
        error = check_change(self._node, others, groups, dict.fromkeys(groups, "it is read when the node starts"))
        if changed and not error:
            try:
                self._knowledge.reload(**files(self._node, **changed))
            except _ERRORS as problem:
                error = f"kept the old files: {problem}"
        return SetParametersResult(successful=not error, reason=error)

    def _update(self, request, response):
        save = request.save or bool(request.save_as)
        try:
            if not (save or request.changes) or len(request.changes) > MAX_CHANGES:
                raise RequestError(f"changes: 1 to {MAX_CHANGES} are wanted, got {len(request.changes)}")
            if save and not request.save_as and not self._node.get_parameter("world_file").value:
                raise RequestError("save: the world file is the one that is installed; name another one in save_as")
            changes = [change_from_ros(change, f"changes[{n}]") for n, change in enumerate(request.changes)]
            self._knowledge.update(changes, request.save, request.save_as)
        except _ERRORS as error:
            response.error = str(error)
        else:
            response.success = True
            response.saved = (request.save_as or self._knowledge.file.path) if save else ""
            self._node.get_logger().info(f"world changed: {'; '.join(map(str, changes)) or 'nothing'} {response.saved}")
        return response

    def _get(self, _request, response):
        file, state = self._knowledge.file, self._knowledge.belief.state
        response.yaml, response.file = file.yaml(), file.path
        response.items = items_to_ros(file.world, state)
        response.robot_at, response.holding = state.at or "", state.holding or ""
        response.found = list(state.found)
        return response

    def _see(self, message):
        now = self._node.get_clock().now().nanoseconds * 1e-9
        try:
            self._knowledge.see(**seen_from_ros(message, now))
        except _ERRORS as error:
            self._node.get_logger().warning(f"seen: {error}", throttle_duration_sec=1.0)
