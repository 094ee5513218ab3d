"""Keeps what voice_node hears with in step with the planner: other names in its world, other words to hear.

In: the latched topic `domain` of a planner_node. Out: `use(*make(skills, world))` for every domain that is another than
the one before; the newest one if several came meanwhile. Making takes seconds, so it happens in a thread of its own,
and what is there hears on until then. A domain that cannot be used is complained about and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from llm_ros.msg import Domain
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from llm_core.errors import LLMCoreError
from llm_ros import qos
from llm_ros.planner import ConfigError, Skills, World
from llm_ros.planner.skills import parse_skills
from llm_ros.planner.world import parse_world


class DomainFollower:
    """See the module. known: the skills and world in use; problem(text): what goes wrong."""

    def __init__(
        self,
        node,
        topic: str,
        known: tuple[Skills, World],
        make: Callable[[Skills, World], tuple],
        use: Callable[..., None],
        problem: Callable[[str], None],
    ):
        self._node, self._known, self._make, self._use, self._problem = node, known, make, use, problem
        self._newest: Domain | None = None
        self._changed, self._ending = threading.Condition(), False
        self._subscription = node.create_subscription(
            Domain, topic, self._on_domain, qos.LATCHED, callback_group=MutuallyExclusiveCallbackGroup()
        )
        self._thread = threading.Thread(target=self._follow, name="llm_ros.domain", daemon=True)
        self._thread.start()

    def _on_domain(self, message: Domain) -> None:
        with self._changed:
            self._newest = message
            self._changed.notify()

    def _follow(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._ending)
                if self._ending:
                    return
                message, self._newest = self._newest, None
            try:
                domain = parse_skills(message.skills, "skills"), parse_world(message.world, "world")
                if (dict(domain[0]), domain[1]) == (dict(self._known[0]), self._known[1]):
                    continue
                made = self._make(*domain)
            except (ConfigError, LLMCoreError, OSError) as error:
                self._problem(f"{self._subscription.topic_name}: heard with what was known before: {error}")
                continue
            with self._changed:
                if self._ending:
                    return
            self._known = domain
            self._use(*made)

    def close(self) -> None:
        """Ends it; what is being made is dropped."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._node.destroy_subscription(self._subscription)
        self._thread.join(10.0)
