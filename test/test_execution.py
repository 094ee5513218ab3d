"""The executor against robots that fail in every way: what it tries, how it ends, what it believes afterwards."""

from __future__ import annotations

import pytest
from execution_helpers import FAIL, OK, SKILLS, Bench, missing, steps

from llm_ros.execution import Outcome, PlanStatus, Result, StepFeed, StepStatus
from llm_ros.planner import Step
from llm_ros.simulation import SimClock
from llm_ros.simulation.clock import Hung

FETCH = "go_to table; find_object apple; pick apple; go_to shelf; place apple shelf"


def test_steps_are_done_in_order_and_believed():
    bench = Bench()
    end = bench.carry_out(FETCH, command="Tidy up")
    assert end.succeeded and end.command == "Tidy up" and end.status is PlanStatus.IDLE and end.current == -1
    assert bench.robot.log == [
        "go_to(table)",
        "find_object(apple)",
        "pick(apple)",
        "go_to(shelf)",
        "place(apple, shelf)",
    ]
    state = bench.executor.belief.state
    assert state.at == "shelf" and state.holding is None and state.places["apple"] == "shelf"
    assert bench.executor.belief.moved() == {"apple": "shelf"}
    assert bench.clock.time == 32.0
    half = next(view for view in bench.views if view.reports[2].progress == 0.5)
    assert half.current == 2 and half.reports[2].time_left == 2.5 and half.time_left == 17.5


def test_steps_that_are_missing_are_put_in_and_those_that_are_done_left_out():
    bench = Bench()
    assert bench.carry_out("place apple shelf").succeeded
    assert bench.done() == ["go_to(table)", "find_object(apple)", "pick(apple)", "go_to(shelf)", "place(apple, shelf)"]
    again = [Step("go_to", {"location": "shelf"}, inserted=True), Step("find_object", {"object": "apple"})]
    end = bench.carry_out(again)
    assert [report.status for report in end.reports] == [StepStatus.SKIPPED, StepStatus.DONE]


def test_a_failed_attempt_is_repeated_then_the_step_is_begun_anew_then_the_person_is_told():
    bench = Bench(pick=[FAIL])
    assert bench.carry_out(FETCH).succeeded and bench.robot.log.count("pick(apple)") == 2
    bench = Bench(pick=[FAIL] * 2)  # the apple is looked for again before the next round
    assert bench.carry_out(FETCH).succeeded
    assert bench.robot.log[:6] == ["go_to(table)", "find_object(apple)", *["pick(apple)"] * 2, "find_object(apple)"] + [
        "pick(apple)"
    ]
    bench = Bench(pick=[FAIL] * 100)
    end = bench.carry_out(FETCH)
    assert end.outcome is Outcome.EXECUTION and end.message == "pick apple: broken"
    assert bench.robot.log[-1] == 'say("I could not finish. pick apple: broken")'
    assert bench.robot.log.count("pick(apple)") == 10
    assert [report.status for report in end.reports[-2:]] == [StepStatus.PENDING] * 2


def test_a_thing_that_is_not_there_is_looked_for_elsewhere():
    bench = Bench(find_object=[missing("apple"), missing("apple"), OK])
    assert bench.carry_out(FETCH).succeeded
    assert bench.robot.log[1:6] == [
        "find_object(apple)",
        "go_to(counter)",
        "find_object(apple)",
        "go_to(shelf)",
        "find_object(apple)",
    ]
    bench = Bench(find_object=[missing("apple")] * 100)
    end = bench.carry_out(FETCH)
    assert end.outcome is Outcome.POSTCONDITION
    assert end.message == "find object apple: no apple; it is not where I looked: table, counter, shelf, sofa"


def test_what_a_plan_presumes_is_used_and_not_believed():
    bench = Bench(find_object=[missing("apple")], count=[Result(Outcome.SUCCEEDED, text="2")])
    assert bench.carry_out(
        "go_to shelf; find_object apple; go_to sofa; count fruit; say {result}_on_{nothing}"
    ).succeeded
    # On the shelf, as the plan takes it to be; then where fruits are held.
    assert bench.robot.log[:4] == ["go_to(shelf)", "find_object(apple)", "go_to(table)", "find_object(apple)"]
    assert bench.robot.log[-2:] == ["count(fruit)", 'say("2_on_{nothing}")']
    assert bench.executor.belief.state.places["apple"] == "table"
    assert "fruit" not in bench.executor.belief.moved()


def test_a_full_hand_is_freed_first():
    bench = Bench()
    assert bench.carry_out("pick pear").succeeded and bench.executor.belief.state.holding == "pear"
    assert bench.carry_out("pick apple").succeeded
    assert "place(pear, table)" in bench.done() and bench.executor.belief.state.holding == "apple"
    assert bench.carry_out("place pear shelf").succeeded
    assert "place(apple, table)" in bench.done() and bench.executor.belief.state.places["pear"] == "shelf"


def test_a_hand_is_freed_at_the_next_place_where_one_takes_nothing():
    bench = Bench()
    assert bench.carry_out("pick pear").succeeded
    bench.robot.script["place"] = [FAIL] * 2
    assert bench.carry_out("pick apple").succeeded and "place(pear, counter)" in bench.done()


def test_another_skill_with_the_same_effect_takes_over():
    walk = "{args: {where: {type: location}}, role: none, needs: [], effects: [at(where), not found(*)]}"
    skills = f"{SKILLS}  walk: {walk}\n"
    bench = Bench(skills, go_to=[FAIL] * 2)
    assert bench.carry_out("go_to table").succeeded
    assert bench.robot.log == ["go_to(table)", "go_to(table)", "walk(table)"]


def test_facts_overrule_the_verdict():
    full = Result(Outcome.PRECONDITION, "the hand is full", facts=("holding(apple)",))
    bench = Bench(pick=[None, full])  # done, and the first result got lost
    end = bench.carry_out(FETCH)
    assert end.succeeded and end.reports[2].attempts == 2 and bench.robot.log.count("pick(apple)") == 2
    slipped = Result(Outcome.SUCCEEDED, facts=("not holding(apple)", "hand_empty"))
    bench = Bench(pick=[slipped] * 100)
    end = bench.carry_out(FETCH)
    assert end.outcome is Outcome.POSTCONDITION and end.message == "pick apple: it had no effect"
    bench = Bench(pick=[Result(Outcome.SUCCEEDED, facts=("flying(apple)",))])
    end = bench.carry_out(FETCH)
    assert end.succeeded and "facts: 'flying(apple)' is no fact" in end.reports[2].message


@pytest.mark.parametrize(
    "plan, message",
    [
        ("dance table", "there is no skill 'dance'"),
        ("go_to moon", "go_to: location: I do not know 'moon'"),
        ("wait 1000", "wait: seconds must be in 0 .. 100, got 1000"),
    ],
)
def test_steps_that_no_robot_could_do_are_invalid(plan, message):
    end = Bench().carry_out("go_to table; " + plan)
    assert end.outcome is Outcome.INVALID and end.message == message
    assert end.reports[0].status is StepStatus.DONE and end.reports[1].status is StepStatus.FAILED


def test_what_nothing_brings_about_is_a_precondition_failure():
    end = Bench().carry_out("place apple sofa")
    assert end.outcome is Outcome.PRECONDITION and "nothing can be put on the sofa" in end.message


def test_a_result_that_never_comes_is_a_timeout():
    bench = Bench(pick=["obey"] * 100)
    end = bench.carry_out(FETCH)
    assert end.outcome is Outcome.TIMEOUT and end.message == "pick apple: no result within 20 s"
    assert bench.robot.cancels[0] == 32.0
    bench = Bench(pick=[None], say=[None])  # it does not even answer the cancel
    assert bench.carry_out(FETCH).succeeded
    assert bench.clock.time == 32.0 + 20.0 + 2.0


def test_a_deadline_stops_the_robot():
    bench = Bench()
    end = bench.carry_out(FETCH, deadline=4.0)
    assert end.outcome is Outcome.TIMEOUT and end.message == "the deadline of 4 s has passed"
    assert bench.robot.cancels == [4.0]


def test_cancel_stops_the_robot_at_once_and_nobody_is_told():
    bench = Bench()
    bench.robot.at[1] = lambda: bench.run.cancel()
    end = bench.carry_out(FETCH)
    assert end.outcome is Outcome.CANCELED and end.message == "cancelled"
    assert bench.robot.cancels == [0.5] and len(bench.robot.log) == 1
    assert bench.executor.belief.state.at is None  # somewhere on the way


def test_pause_stops_the_robot_and_resume_begins_the_step_again():
    bench = Bench()

    def pause():
        assert bench.run.pause() and not bench.run.pause()
        bench.clock.later(100.0, lambda: bench.run.resume())

    bench.robot.at[2] = pause
    end = bench.carry_out(FETCH)
    assert end.succeeded and bench.robot.cancels == [10.5]
    assert bench.robot.log[:3] == ["go_to(table)", "find_object(apple)", "find_object(apple)"]
    paused = [view for view in bench.views if view.status is PlanStatus.PAUSED]
    assert paused[0].reports[1].status is StepStatus.PAUSED and bench.clock.time == 110.5 + 22.0


def test_confirmation_is_asked_once_and_answered_yes_no_or_not_at_all():
    plan = "find_object apple; pick apple; find_person ada"
    hand = Step("hand_over", {"object": "apple", "person": "ada"})
    for answer, outcome in ((True, Outcome.SUCCEEDED), (False, Outcome.CANCELED), (None, Outcome.TIMEOUT)):
        bench = Bench(hand_over=[FAIL])
        asked = []

        def listen(view, bench=bench, asked=asked, answer=answer):
            bench.views.append(view)
            if view.question and view.confirm_id not in asked:
                asked.append(view.confirm_id)
                assert view.status is PlanStatus.CONFIRM and view.question == "May I hand over apple, ada?"
                assert not bench.run.confirm(view.confirm_id + 1, True)
                if answer is not None:
                    bench.clock.later(5.0, lambda: bench.run.confirm(view.confirm_id, answer))

        bench.run = bench.executor.begin([*steps(plan), hand], on_change=listen)
        end = bench.run.run()
        assert end.outcome is outcome and len(asked) == 1
        assert bench.robot.log.count(str(hand)) == (2 if answer else 0)


@pytest.mark.parametrize("why", ["", "the model stopped"])
def test_a_plan_may_grow_while_it_is_carried_out_and_may_come_to_nothing(why):
    bench, feed = Bench(), StepFeed()
    first, second = steps("go_to table; find_object apple")
    feed.put(first)
    bench.clock.later(12.0, lambda: feed.put(second))
    bench.clock.later(20.0, lambda: feed.fail(why) if why else feed.close())
    end = bench.carry_out(feed)
    assert bench.robot.log[:2] == ["go_to(table)", "find_object(apple)"]
    assert end.outcome is (Outcome.PLANNING if why else Outcome.SUCCEEDED) and end.message == why


def test_a_question_waits_for_the_whole_plan():
    bench, feed = Bench(), StepFeed(steps("find_object apple; pick apple; find_person ada"))
    feed.put(Step("hand_over", {"object": "apple", "person": "ada"}))
    bench.clock.later(300.0, feed.close)
    end = bench.carry_out(feed)
    assert end.outcome is Outcome.TIMEOUT and bench.clock.time == 300.0 + 60.0 + 1.0
    assert any(view.question for view in bench.views)


def test_a_robot_that_raises_is_a_failure_like_any_other():
    bench = Bench(pick=[RuntimeError("no arm")])
    end = bench.carry_out(FETCH)
    assert end.succeeded and end.reports[2].attempts == 2


def test_waiting_without_a_limit_for_nothing_is_an_error_in_simulated_time():
    with pytest.raises(Hung):
        SimClock().mailbox().get()
