"""What the model is told: the skills as signatures, worked examples nearest to the command, and the command itself.

In: skills, world, command. Out: chat messages. The system turn depends only on skills and world, so that an engine
that keeps
prompt prefixes reads it once. Examples are made from the world's own names by the planner itself, never stored answers.
"""

from __future__ import annotations

from llm_ros.planner.plan import Step
from llm_ros.planner.skills import Skills
from llm_ros.planner.tokens import tokenize
from llm_ros.planner.words import singular
from llm_ros.planner.world import OPERATOR, World

MAX_COMMAND = 1000


def system_text(skills: Skills) -> str:
    """The task and the skills, one signature each."""
    signatures = []
    for skill in skills.values():
        if skill.safety != "forbidden":
            args = ", ".join(arg.name + ("?" if arg.optional else "") for arg in skill.args)
            signatures.append(f"{skill.name}({args}): {skill.description}".rstrip(": "))
    return (
        "You plan for a service robot. Write the steps that carry out the command, one skill per line, then done.\n"
        "Skills:\n" + "\n".join(signatures)
    )


def command_templates(world: World) -> list[str]:
    """Typical commands in the words of this world, to be planned as worked examples."""
    place = next((name for name, one in world.locations.items() if one.placement), world.places[0]).replace("_", " ")
    room = world.rooms[-1].replace("_", " ")
    thing = next(iter(world.objects), "cup").replace("_", " ")
    person = next((name for name in world.people if name != OPERATOR), "the waving person").replace("_", " ")
    return [
        f"bring me the {thing} from the {place}",
        f"tell me how many cups are on the {place}",
        f"guide {person} from the {place} to the {room}",
        f"put the {thing} on the {place}",
        f"greet {person} in the {room}",
        f"find {person} in the {room} and follow them",
        f"go to the {room} and wait 10 seconds",
        f"ask {person} what time it is",
        f"answer the question of {person} in the {room}",
    ]


def nearest(command: str, examples: list[tuple[str, list[Step]]], count: int) -> list[tuple[str, list[Step]]]:
    """The examples that share most words with the command, the best last (nearest to where the model writes)."""
    said = {singular(token.low) for token in tokenize(command[:MAX_COMMAND])}

    def score(entry) -> float:
        words = {singular(token.low) for token in tokenize(entry[0])}
        return len(said & words) / (len(words) or 1)

    return sorted(examples, key=score)[-count:] if count else []


def messages(skills: Skills, command: str, examples: list[tuple[str, list[Step]]]) -> list[dict[str, str]]:
    """The conversation: system turn, one turn pair per example, the command."""
    turns = [{"role": "system", "content": system_text(skills)}]
    for text, steps in examples:
        turns += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": "\n".join([*map(str, steps), "done"])},
        ]
    return [*turns, {"role": "user", "content": " ".join(command[:MAX_COMMAND].split())}]
