"""A lifecycle node as ours are: its transitions do a subclass's work, never raise, and say in the log what went wrong.

A subclass says in GROUPS which parameters it has (FIXED: those that can only be changed while it is unconfigured), and
what configure (`_load`), activate (`_serve`), deactivate (`_stop_serving`) and cleanup (`_free`, from any state) do.
Its servers exist from the start and say why they cannot serve, as ROS rejections carry no reason.
"""

from __future__ import annotations

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, TransitionCallbackReturn
from rclpy.node import Node

from llm_core.errors import LLMCoreError, RequestError
from llm_ros.params import StartParams, check_change, declare

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class LifecycleNode(LifecycleNodeMixin, Node):
    """See the module. Raises ParameterError for parameters that cannot be used."""

    GROUPS: tuple = ()
    FIXED: tuple = ()

    def __init__(self, name: str, **node_options):
        Node.__init__(self, name, **node_options)
        # The transitions have a group of their own: the others answer while they work.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        declare(self, *self.GROUPS)
        self._state = "unconfigured"
        self.add_on_set_parameters_callback(self._check_parameters)

    def on_configure(self, _state):
        """Loads. FAILURE (back to unconfigured) for a parameter or a file that it cannot use."""
        return self._transition("configuring", "inactive", self._load)

    def on_activate(self, _state):
        """Starts to serve."""
        return self._transition("activating", "active", self._serve)

    def on_deactivate(self, _state):
        """Stops serving: new goals are turned away, running ones have `grace_period` seconds to finish."""
        return self._transition("deactivating", "inactive", self._stop_serving)

    def on_cleanup(self, _state):
        """Frees what configure made."""
        return self._transition("cleaning up", "unconfigured", self._free)

    def on_shutdown(self, _state):
        """Aborts what runs and frees everything."""
        return self._transition("shutting down", "finalized", self._free)

    def on_error(self, _state):
        """After an unexpected error in a transition: frees everything and begins anew."""
        return self._transition("handling an error", "unconfigured", self._free)

    def _transition(self, during, after, work):
        before, self._state = self._state, during
        try:
            work()
        except LLMCoreError as error:
            self.get_logger().error(f"{during} failed: {error}")
            self._state = before
            return FAILURE
        except Exception as error:
            self.get_logger().error(f"{during} failed unexpectedly: {type(error).__name__}: {error}")
            self._state = before
            return ERROR
        self._state = after
        return SUCCESS

    def _serve(self):
        self.get_logger().info("serving")

    def start(self) -> bool:
        """Configures and activates; False if that failed (the log says why)."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    def close(self) -> None:
        """Ends everything that runs and frees everything; for the end of the process."""
        self._state = "finalized"
        self._free()

    @property
    def state(self) -> str:
        """The lifecycle state, or what the current transition does."""
        return self._state

    def check_active(self) -> None:
        """Raises RequestError unless the node serves now."""
        if self._state != "active":
            raise RequestError(f"{self.get_name()} is {self._state}, not active: it serves no requests now")

    def _check_parameters(self, parameters):
        frozen = {StartParams: "it is read when the node starts"}
        if self._state != "unconfigured":
            why = f"the node is {self._state}; deactivate it and clean it up first"
            frozen |= dict.fromkeys(self.FIXED, why)
        reason = check_change(self, parameters, self.GROUPS, frozen)
        return SetParametersResult(successful=not reason, reason=reason)
