"""The planner: command → readings → completed plans → the model's choice and words → a checked plan.

In: a command. Out: a `Plan`: steps, a typed refusal or one question; steps are handed to `on_step` as soon as they
are certain. The
symbolic side narrows what may be said to the readings of this very command; the model decides among them and writes
the texts,
under a grammar that admits nothing else; the result is simulated before it counts. Knows no ROS and no engine.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from llm_ros.planner import prompt
from llm_ros.planner.complete import Completer
from llm_ros.planner.doubts import implausible, out_of_sight, says_less, unknown_things
from llm_ros.planner.grammar import open_grammar, tight_grammar
from llm_ros.planner.inquiry import Inquiry
from llm_ros.planner.interpret import Interpreter, Question, Readings
from llm_ros.planner.manner import Manner
from llm_ros.planner.mood import no_order
from llm_ros.planner.plan import REFUSALS, LineReader, Plan, PlanError, Step, clarify, parse_line, refuse
from llm_ros.planner.refer import FreeText, Goal
from llm_ros.planner.rewrite import SURE, SURE_OF_SECOND, VERY_SURE, Rewriter
from llm_ros.planner.skills import Skills
from llm_ros.planner.talk import is_task, takes_a_robot, wished
from llm_ros.planner.validate import check_step
from llm_ros.planner.world import OPERATOR, World

Generate = Callable[..., str]
MAX_COMMAND = 2000
MAX_TOKENS = 768
SPACES = ("tight", "open")
# Refusals that no other reading of the words takes back.
UNCLEAR = "Please say it in other words."  # ends the questions that name nothing to choose or to add
_FINAL = ("unsafe", "forbidden", "contradictory", "too_long")


class Planner:
    """Plans commands for one world and one set of skills.

    generate(messages, grammar, max_tokens, on_text, cancelled) -> str: any text generator that obeys a Lark grammar,
    decodes
    greedily, calls on_text(piece) as text arrives and stops early when cancelled() is true.
    space: "tight" lets the model choose among the readings of the command; "open" lets it write any plan over the
    skills
    (used to measure bare models), which is then completed and checked in the same way.
    examples: how many worked examples the prompt shows, 0 to 8; None: 0 in the tight space, where they would only
    cost time (the
    prompt then begins with the same tokens for every command, and the engine reads those once), else 3.
    rewrite: a generator whose model puts commands into plain words (plain.py); it is asked where the reading of a
    command is unsure. trained: it was trained to, and is shown no examples.
    """

    def __init__(
        self,
        generate: Generate,
        skills: Skills,
        world: World,
        space: str = "tight",
        examples: int | None = None,
        rewrite: Generate | None = None,
        trained: bool = False,
    ):
        if space not in SPACES:
            raise ValueError(f"space: expected one of {', '.join(SPACES)}, got {space!r}")
        examples = {"tight": 0, "open": 3}[space] if examples is None else examples
        if not 0 <= examples <= 8:
            raise ValueError(f"examples: expected 0 to 8, got {examples}")
        self._generate, self.skills, self.world, self.space = generate, skills, world, space
        self._interpreter = Interpreter(skills, world)
        self._completer = Completer(skills, world)
        self._rewriter = Rewriter(rewrite, self._interpreter, self._completer, trained) if rewrite else None
        self._count = examples
        self._examples = self._worked_examples()

    def knowing(self, learned: Mapping[str, str | None]) -> Planner:
        """The same planner where things and people are at other places than the file says; None: nobody knows.

        Costs next to nothing: the index of names is shared. `me` is where the command is given, whatever was learned.
        """
        world = replace(self.world, learned={name: place for name, place in learned.items() if name != OPERATOR})
        other = copy.copy(self)
        other.world, other._completer = world, Completer(self.skills, world)
        other._interpreter = self._interpreter.over(world)
        if self._rewriter:
            other._rewriter = self._rewriter.over(other._interpreter, other._completer)
        return other

    def plan(
        self,
        command: str,
        on_step: Callable[[Step], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Plan:
        """The checked plan for a command. Never raises for what a command says; errors of `generate` pass through.

        on_step(step): each step, in order, once it is complete, checked and cannot be taken back. on_text(piece):
        the model's
        raw text. cancelled(): asked often; when true the result has the status "cancelled".
        """
        cancelled = cancelled or (lambda: False)
        outcome = self._clean(command)
        if isinstance(outcome, Plan):
            return outcome
        if cancelled():
            return Plan("cancelled", message="cancelled")
        space = self._space(outcome)
        if self._rewriter and self.space == "tight":
            space = self._reworded(outcome, space, cancelled)
        if isinstance(space, Plan):
            return space
        lost = out_of_sight(space[0][0], self.skills, self.world) if len(space[0]) == 1 else None
        if lost:
            return clarify(self._interpreter.whereabouts(outcome, lost))
        return self._write(outcome, *space, on_step or (lambda step: None), on_text or (lambda piece: None), cancelled)

    def _reworded(self, command: str, space, cancelled: Callable[[], bool]):
        """What `rewrite` makes of a command, where it is asked; else, and where it has nothing better, `space`.

        It is also asked about a plan over things that the world does not know: words that were mistaken for things ("I
        want eyes on her, wherever she wanders") are none in the plain words. A "blue mug" is one there too. And about a
        plan that passes over what the command names ("Kenji's in the lobby and can't find the bar. Would you
        walk him there?"), or that is implausible in itself. Its opinion on other plans is heard where a command is not
        put plainly; it must be very sure then, and may not say less.
        """
        alone = None if isinstance(space, Plan) or len(space[0]) != 1 else space[0][0]
        manner = Manner(command, self._interpreter)
        doubtful = alone is not None and self._doubtful(command, alone)
        sure = SURE if doubtful else self._needed(manner, space)
        second = sure is None and alone is not None and self._rewriter.trained
        second = second and not manner.plain and not manner.restricted
        sure = SURE_OF_SECOND if second else sure
        if sure is None:
            return space
        try:
            found = self._rewriter.reworded(command, cancelled, sure)
        except PlanError as error:
            odd = alone is not None and unknown_things(alone, self.skills, self.world)
            return refuse(error.reason, str(error)) if odd else space
        if found is None:
            return space
        steps, unclear = list(found.steps), isinstance(space, Plan) and space.message.endswith(UNCLEAR)
        if found.question:
            return clarify(found.question) if unclear and found.sure else space
        if not found.sure:
            return self._guessed(found.words, steps) or space if unclear else space
        if alone is not None and self._doubtful(command, steps) or _dropped(command, space, found.words):
            return space
        if second and says_less(steps, alone, self.skills, manner.frames):
            return space
        return [steps], {}

    def _guessed(self, words: str, steps: list[Step]) -> Plan | None:
        """The question whether a command means what the model is not sure of; None where the words, said as a command,
        would come to anything else."""
        again = self._space(words)
        if isinstance(again, Plan) or again[0] != [steps] or implausible(steps, self.skills):
            return None
        words = words.strip(" .")
        return clarify(Inquiry(f"Do you mean: {re.sub(r' ?[.](?= )', ', then', words)}?", "confirm", before=words))

    def _doubtful(self, command: str, steps: list[Step]) -> bool:
        """Whether a plan handles what the world does not know, passes over what is named, or is implausible."""
        return bool(
            unknown_things(steps, self.skills, self.world)
            or self._rewriter.passed_over(command, steps)
            or implausible(steps, self.skills)
        )

    def is_task(self, text: str, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Whether a text out of a conversation is something to plan, and no mere talk. `rewrite` is asked about a text
        that wishes for something without being a command that is understood."""
        text = self._clean(text)
        if not isinstance(text, str) or is_task(text, self._interpreter):
            return isinstance(text, str)
        if self._rewriter is None or not wished(text) or no_order(text):
            return False
        try:
            found = self._rewriter.reworded(text, cancelled)
        except PlanError:
            return False
        steps = found.steps if found and found.sure else ()
        return takes_a_robot(steps, self.skills) and not unknown_things(steps, self.skills, self.world)

    def answered(self, inquiry: Inquiry, answer: str) -> str | Plan:
        """The command that an answer to the question of an earlier plan leads to, for `plan`; or what else comes of it:
        the same question once more, narrowed down where the answer allows, or a refusal as "withdrawn".
        """
        text = self._clean(answer)
        if isinstance(text, Plan):
            return clarify(inquiry) if text.inquiry else text
        outcome = self._interpreter.answered(inquiry, text)
        if outcome is None:
            return refuse("withdrawn")
        return clarify(outcome) if isinstance(outcome, Inquiry) else outcome

    def _needed(self, manner: Manner, space) -> float | None:
        """How sure `rewrite` must be where it is asked; None: it is not. It is asked where several plans came of the
        command, or none, but not where a plain order was refused, something is forbidden or left to a condition, or to
        be chosen by whoever is asked; where there is little to guess, it must be very sure."""
        if not isinstance(space, Plan):
            return SURE if len(space[0]) > 1 else None
        if space.reason in _FINAL or manner.restricted:
            return None
        if space.inquiry and space.inquiry.choices:
            return None if manner.plain else VERY_SURE
        if space.status == "refuse" and manner.plain:
            return None
        if manner.hedged:
            return SURE_OF_SECOND
        return VERY_SURE if manner.settled else SURE

    def _clean(self, command: str) -> str | Plan:
        """The command as plain words, or why it is none."""
        if not isinstance(command, str):
            raise TypeError(f"command: expected str, got {type(command).__name__}")
        if len(command) > MAX_COMMAND:
            return refuse("too_long", f"a command has at most {MAX_COMMAND} characters, this one {len(command)}")
        text = unicodedata.normalize("NFKC", command)
        text = " ".join(
            "".join(
                " " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text
            ).split()
        )
        if not any(char.isalnum() for char in text):
            return clarify("What should I do?")
        return text

    def _space(self, command: str) -> Plan | tuple[list[list[Step]], dict[str, str]]:
        """The plans that the command admits, likeliest first, and what it tells about where things are; or an
        outcome."""
        try:
            readings = self._interpreter.read(command)
        except PlanError as error:
            return refuse(error.reason, str(error))
        except Question as question:
            return clarify(question.inquiry)
        if self.space == "open":
            return [], {
                name: place for goals in readings.readings for goal in goals for name, place in goal.facts.items()
            }
        plans, failure = [], None
        for goals in readings.readings:
            try:
                steps = self._completer.complete(goals)
                self._respect(steps, readings)
                plans.append(steps)
            except PlanError as error:
                failure = failure or error
        plans = [steps for number, steps in enumerate(plans) if steps and steps not in plans[:number]]
        if plans and not readings.provisos and not readings.unused:
            return plans, {}
        if failure is not None and not plans:
            return refuse(failure.reason, str(failure))
        if readings.provisos:
            return clarify(readings.provisos[0])
        if plans:
            return clarify(f"I do not know what to make of {' '.join(readings.unused)!r}. {UNCLEAR}")
        if readings.forbidden:
            return clarify("I will not do that. What should I do instead?")
        return clarify(f"I did not understand. {UNCLEAR}")

    def _respect(self, steps: list[Step], readings: Readings) -> None:
        """Raises PlanError if the plan does what the command itself rules out."""
        for goal in readings.forbidden:
            skill = self.skills.playing(goal.role)
            if skill is None:
                continue
            banned = {
                skill.slots[slot]: value for slot, value in goal.args.items() if slot in skill.slots and slot != "text"
            }
            for step in steps:
                if step.skill == skill.name and all(
                    self._covers(step.args.get(name), value) for name, value in banned.items()
                ):
                    raise PlanError("contradictory", f"that needs {step}, which the command forbids")

    def _covers(self, done, banned) -> bool:
        return done == banned or banned in self.world.rooms and self.world.room_of(done) == banned

    def _worked_examples(self) -> list[tuple[str, list[Step]]]:
        """Typical commands with the plans that this planner's own symbolic side makes of them."""
        found = []
        for text in prompt.command_templates(self.world) if self._count else ():
            try:
                found.append((text, self._completer.complete(self._interpreter.read(text).readings[0])))
            except (PlanError, Question, IndexError):
                continue
        return found

    def _write(self, command, plans, facts, on_step, on_text, cancelled) -> Plan:
        """Lets the model write, checks line by line, and hands out steps as soon as they are certain."""
        grammar = tight_grammar(plans) if plans else open_grammar(self.skills, self.world)
        asked = prompt.messages(self.skills, command, prompt.nearest(command, self._examples, self._count))
        reader, steps, lines = LineReader(), [], []

        def take(piece: str) -> None:
            on_text(piece)
            for line in reader.push(piece):
                lines.append(line)
                if plans and line != "done":
                    steps.append(self._admitted(line, len(steps), steps, plans))
                    on_step(steps[-1])

        try:
            text = self._generate(asked, grammar, MAX_TOKENS, take, cancelled)
        except PlanError as error:  # raised in `take`: a generator that does not obey the grammar
            return refuse(error.reason, str(error))
        if cancelled():
            return Plan("cancelled", message="cancelled", text=text)
        lines += reader.close()
        if plans:
            return self._finished(steps, lines, plans, text)
        return self._open_plan(lines, facts, text, on_step)

    def _admitted(self, line: str, number: int, before: list[Step], plans: list[list[Step]]) -> Step:
        """The step of a plan that agrees with what was written so far, with the model's own texts filled in."""
        for steps in plans:
            if number < len(steps) and all(_agrees(a, b) for a, b in zip(before, steps, strict=False)):
                filled = _filled(steps[number], line)
                if filled is not None:
                    return check_step(filled, self.skills, self.world)
        raise PlanError("impossible", f"the model wrote {line[:80]!r}, which no reading of the command admits")

    def _finished(self, steps, lines, plans, text) -> Plan:
        whole = any(
            len(steps) == len(one) and all(_agrees(a, b) for a, b in zip(steps, one, strict=False)) for one in plans
        )
        if not whole:
            return refuse("not_understood", "the model stopped before the plan was complete", text)
        return Plan("plan", tuple(steps), text=text, notes=tuple(f"inserted {step}" for step in steps if step.inserted))

    def _open_plan(self, lines: list[str], facts: dict[str, str], text: str, on_step) -> Plan:
        """A plan written freely: read, completed by the same symbolic side, checked."""
        goals: list[Goal] = []
        try:
            for line in lines:
                if line == "done":
                    break
                name, values = parse_line(line)
                if name == "refuse":
                    reason = values[0] if values and values[0] in REFUSALS else "impossible"
                    return refuse(reason, text=text)
                if name == "clarify":
                    return clarify(values[0] if values else "What do you mean?", text)
                if name not in self.skills:
                    raise PlanError("impossible", f"there is no skill {name!r}")
                args = dict(zip((arg.name for arg in self.skills[name].args), values, strict=False))
                goals.append(Goal(f"skill:{name}", args, facts if not goals else {}))
            steps = self._completer.complete(goals)
        except PlanError as error:
            return refuse(error.reason, str(error), text)
        except ValueError as error:
            return refuse("not_understood", str(error), text)
        if not steps:
            return clarify(f"I did not understand. {UNCLEAR}", text)
        for step in steps:
            on_step(step)
        return Plan("plan", tuple(steps), text=text, notes=tuple(f"inserted {step}" for step in steps if step.inserted))


def _dropped(command: str, space, words: str) -> bool:
    """Whether plain words leave out the place for which a command was refused: "the piano", of which nobody knows."""
    if not isinstance(space, Plan) or space.reason != "unknown_place":
        return False
    unknown = re.search(r"'([^']+)'", space.message)
    return bool(unknown) and f"the {unknown[1]}" in command.lower() and unknown[1] not in words.lower()


def _agrees(written: Step, admitted: Step) -> bool:
    """Whether a written step is an instance of an admitted one: equal but for the texts that the model writes."""
    return (
        written.skill == admitted.skill
        and written.args.keys() == admitted.args.keys()
        and all(isinstance(value, FreeText) or written.args[name] == value for name, value in admitted.args.items())
    )


def _filled(admitted: Step, line: str) -> Step | None:
    """The admitted step with the texts of `line`, or None if the line is another step."""
    free = {name: value for name, value in admitted.args.items() if isinstance(value, FreeText)}
    if not free:
        return admitted if str(admitted) == line else None
    try:
        skill, values = parse_line(line)
    except ValueError:
        return None
    if skill != admitted.skill or len(values) != len(admitted.args):
        return None
    args = {
        name: text if name in free else value
        for (name, value), text in zip(admitted.args.items(), values, strict=False)
    }
    if not all(args[name].startswith(value.prefix.strip()) for name, value in free.items()):
        return None
    same = all(
        name in free or values[number] == parse_line(str(Step("x", {"v": value})))[1][0]
        for number, (name, value) in enumerate(admitted.args.items())
    )
    return replace(admitted, args=args) if same else None
