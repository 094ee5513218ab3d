"""What the client verbs share: finding the nodes with an answer for everyone who forgot to start them, Ctrl-C, plans as
text.
"""

from __future__ import annotations

import contextlib
import sys

HINT = "start it with `llm-ros up`"


def wait_for_llm(client, timeout: float) -> None:
    """Waits until llm_node serves; says what it waits for. Raises CallError with a hint."""
    from llm_ros.client import CallError

    def tell(label):
        if label != "active":
            print(f"{client.server} is {label}; waiting", file=sys.stderr, flush=True)

    try:
        client.wait_ready(timeout, on_state=tell)
    except CallError as error:
        raise CallError(f"{error}: {HINT}" if "found" in str(error) else str(error), error.status) from None


def wait_for_planner(client, timeout: float) -> None:
    """Waits until planner_node is there. Raises CallError with a hint."""
    from llm_ros.client import CallError

    try:
        client.wait_ready(timeout)
    except CallError as error:
        raise CallError(f"{error}: {HINT}", error.status) from None


@contextlib.contextmanager
def cancelled_by_interrupt(call):
    """Ctrl-C cancels the goal before it goes on."""
    try:
        yield call
    except KeyboardInterrupt:
        call.cancel()
        call.wait(2.0)
        raise


def show_plan(call, timeout: float, out) -> object:
    """Prints the steps as they come, then what else there is to say; returns the Plan message. Raises CallError."""
    from llm_ros.plan_conversions import plan_lines, step_text

    shown = 0
    with cancelled_by_interrupt(call):
        for feedback in call.feedback(timeout):
            for step in feedback.steps:
                shown += 1
                print(f"{shown}. {step_text(step)}", file=out, flush=True)
        plan = call.result(timeout=5.0).plan
    for line in plan_lines(plan)[shown if plan.steps else 0 :]:
        print(line, file=out, flush=True)
    return plan


def show_execution(call, out):
    """Prints each step's changes as they come; returns the result. Ctrl-C cancels. Raises CallError."""
    from llm_ros.execution_conversions import report_line

    last = None
    with cancelled_by_interrupt(call):
        for feedback in call:
            for report in _reports(feedback):
                line = report_line(report)
                if report.status and line != last:
                    print(line, file=out, flush=True)
                    last = line
        return call.result(timeout=5.0)


def _reports(feedback):
    """The reports in the feedback of ExecutePlan or PlanTask."""
    return feedback.reports if hasattr(feedback, "reports") else [feedback.step]
