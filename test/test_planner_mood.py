"""What is forbidden, told or asked is no order: by the reader's words and with a model that would do it all."""

import pytest
from test_planner_plain import planner

from llm_ros.planner.rewrite import VERY_SURE, Written

FORBIDDEN = """
Never guide Zola to the bench.
Do not guide Zola to the bench.
I said not to guide Zola to the bench.
I told you never to guide Zola to the bench.
Don't you dare guide Zola to the bench.
You must not guide Zola to the bench.
You mustn't ever guide Zola to the bench.
You shouldn't guide Zola to the bench.
You had better not guide Zola to the bench.
You needn't guide Zola to the bench.
You don't have to guide Zola to the bench.
You are not allowed to guide Zola to the bench.
There is no need to guide Zola to the bench.
I don't want you to guide Zola to the bench.
I'd rather you didn't guide Zola to the bench.
Please refrain from guiding Zola to the bench.
Avoid guiding Zola to the bench.
Forget about guiding Zola to the bench.
Stop guiding Zola to the bench.
Under no circumstances guide Zola to the bench.
On no account should you guide Zola to the bench.
Nobody should guide Zola to the bench.
Zola must not be guided to the bench.
Make sure not to guide Zola to the bench.
Make sure that you never guide Zola to the bench.
It's important that you don't guide Zola to the bench.
""".strip().splitlines()
NO_ORDERS = """
Did you guide Zola to the bench?
Have you already guided Zola to the bench?
Has Marek guided Zola to the bench?
Who guided Zola to the bench?
Why did you guide Zola to the bench?
Should I guide Zola to the bench?
I already guided Zola to the bench.
I could have guided Zola to the bench.
Yesterday I guided Zola to the bench.
You guided Zola to the bench. She told me.
I will guide Zola to the bench myself.
I am going to guide Zola to the bench.
""".strip().splitlines()
ORDERS = """
Guide Zola to the bench.
Don't forget to guide Zola to the bench.
Why don't you guide Zola to the bench?
Can't you guide Zola to the bench?
Do not hesitate to guide Zola to the bench.
I already greeted her. Now guide Zola to the bench.
Zola does not know the way to the bench, guide her.
""".strip().splitlines()


@pytest.mark.parametrize("command", [*FORBIDDEN, *NO_ORDERS])
def test_what_is_no_order_is_asked_about_whatever_a_model_would_do(command):
    asked = []
    plan = planner(Written("guide person1 to place1", VERY_SURE / 2), asked, trained=True).plan(command)
    assert plan.status == "clarify" and not asked


@pytest.mark.parametrize("command", ORDERS)
def test_what_only_looks_like_it_is_done(command):
    plan = planner(Written("guide person1 to place1", VERY_SURE / 2), trained=True).plan(command)
    assert [str(step) for step in plan.steps][-1] == "guide(zola, bench)"


def test_what_is_forbidden_beside_an_order_binds_the_plan():
    plan = planner("").plan("Guide Zola to the bench, but you must never enter the exam room.")
    assert [str(step) for step in plan.steps][-1] == "guide(zola, bench)"
    plan = planner("").plan("Go to the bench and open the back door, but make sure you never open the back door.")
    assert plan.reason == "contradictory"


def test_a_question_that_the_reader_has_reasons_for_is_ended_by_a_model_that_is_very_sure_only():
    for logprob, status in ((VERY_SURE - 0.1, "clarify"), (VERY_SURE / 2, "plan")):
        assert planner(Written("bring thing1 to me", logprob), trained=True).plan("Put the leash").status == status
    assert planner("bring thing1 to me").plan("Put the leash").status == "clarify", "an untrained one is never sure"
