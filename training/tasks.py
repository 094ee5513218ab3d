"""What training commands ask for: the plain commands of each task, and the steps that its plan must hold.

Slots are `Filler`'s; `[...]` is left out where the command does not say it. Data only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """plain: target with slots. steps: what its plan must hold. home: the place letter that {P+} attaches; weight."""

    plain: str
    steps: str = ""
    home: str = "M"
    weight: float = 1.0


TASKS = {
    "bring me": Task("bring {T}[ from {L}] to me", "pick(*)@L;hand_over(*, me)", weight=3),
    "bring": Task("bring {T}[ from {L}] to {P}[ in {M}]", "pick(*)@L;hand_over(*, P)@M", weight=4.5),
    "bring two me": Task(
        "bring {T}[ from {L}] to me\nbring {T'}[ from {L}] to me",
        "pick(*)@L;hand_over(*, me);pick(*)@L;hand_over(*, me)",
        weight=0.5,
    ),
    "bring two": Task(
        "bring {T} to {P}[ in {M}]\nbring {T'} to {P}[ in {M}]",
        "pick(*);hand_over(*, P)@M;pick(*);hand_over(*, P)@M",
        weight=0.5,
    ),
    "move two": Task(
        "move {T}[ from {L}] to {M}\nmove {T'}[ from {L}] to {M}",
        "pick(*)@L;place(*, *)@M;pick(*)@L;place(*, *)@M",
        weight=0.5,
    ),
    "take": Task("take {T}[ from {L}]", "pick(*)@L", weight=0.6),
    "move": Task("move {T}[ from {L}] to {M}", "pick(*)@L;place(*, *)@M", weight=3.5),
    "guide me": Task("guide me to {M}", "guide(me, *)", weight=0.8),
    "guide": Task("guide {P}[ from {L}] to {M}", "guide(P, *)@L", "L", 2.5),
    "guide two": Task("guide {P} to {M}\nguide {Q} to {M}", "guide(P, *);guide(*, *)", weight=0.3),
    "follow": Task("follow {P}[ in {L}][ to {M}]", "follow(P)@L|follow(P, *)@L", "L", 2),
    "follow me": Task("follow me[ to {M}]", "follow(me)|follow(me, *)", weight=0.3),
    "find P": Task("find {P}[ in {L}]", "find_person(P)@L", "L", 1.2),
    "find T": Task("find {T}[ in {L}]", "find_object(*)@L", weight=1.2),
    "greet": Task("greet {P}[ in {M}]", "say(*)@M", weight=1.2),
    "introduce": Task("introduce yourself to {P}[ in {M}]", "say(*)@M", weight=0.5),
    "goodbye": Task("say goodbye to {P}[ in {M}]", "say(*)@M", weight=0.25),
    "answer": Task("answer {P}[ in {M}]", "answer_question(P)@M", weight=1.5),
    "answer me": Task("answer me", "answer_question(me)", weight=0.15),
    "ask": Task("ask {P}[ in {M}] {W}", "ask(P, *)@M", weight=1.2),
    "ask report": Task("ask {P}[ in {M}] {W} and tell me", "ask(P, *)@M;say(*)", weight=0.8),
    "ask tell": Task("ask {P}[ in {M}] {W} and tell {Q}[ in {N}]", "ask(P, *)@M;say(*)@N", weight=1.5),
    "tell": Task("tell {P}[ in {M}] {W}", "say(*)@M", weight=3),
    "tell two": Task("tell {P}[ in {M}] {W}\ntell {Q}[ in {N}] {W}", "say(*)@M;say(*)@N", weight=0.4),
    "tell to": Task("tell {P}[ in {M}] {W}", "say(*)@M", weight=0.8),
    "joke me": Task("tell me a joke", "say(*)", weight=0.4),
    "joke": Task("tell {P}[ in {M}] a joke", "say(*)@M", weight=0.5),
    "time me": Task("tell me the time", "say(*)", weight=0.5),
    "time": Task("tell {P}[ in {M}] the time", "say(*)@M", weight=0.4),
    "day me": Task("tell me what day it is", "say(*)", weight=0.2),
    "date me": Task("tell me the date", "say(*)", weight=0.2),
    "tomorrow me": Task("tell me what day it is tomorrow", "say(*)", weight=0.1),
    "day": Task("tell {P}[ in {M}] what day it is", "say(*)@M", weight=0.2),
    "self me": Task("tell me something about yourself", "say(*)", weight=0.2),
    "self": Task("tell {P}[ in {M}] something about yourself", "say(*)@M", weight=0.2),
    "name me": Task("tell me your name", "say(*)", weight=0.1),
    "name": Task("tell {P}[ in {M}] your name", "say(*)@M", weight=0.1),
    "count me": Task("tell me how many {K} in {L}", "count(*)@L;say(*)", weight=2.2),
    "count": Task("count {K} in {L}", "count(*)@L;say(*)", weight=0.5),
    "count P": Task("tell {P}[ in {M}] how many {K} in {L}", "count(*)@L;say(*)@M", weight=0.8),
    "whether me": Task("tell me whether {X} in {L}", "find_object(*)@L|find_person(*)@L;say(*)", weight=1.5),
    "whether P": Task("tell {P}[ in {M}] whether {X} in {L}", "find_object(*)@L|find_person(*)@L;say(*)@M", weight=0.5),
    "where me": Task("tell me where {X}", "find_object(*)|find_person(*);say(*)", weight=0.3),
    "what me": Task("tell me what {W} in {L}", "detect(*)@L;say(*)", weight=1.8),
    "state me": Task("tell me what {W} in {D}", "detect(*);say(*)", weight=0.5),
    "what P": Task("tell {P}[ in {M}] what {W} in {L}", "detect(*)@L;say(*)@M", weight=0.5),
    "fact me": Task("tell me the {fact} of {Q}[ in {N}]", "detect(*)|ask(*, *);say(*)", weight=0.4),
    "name of me": Task("tell me the name of {Q}[ in {N}]", "ask(*, *);say(*)", weight=0.3),
    "clothes of me": Task("tell me the clothes of {Q}[ in {L}]", "detect(*);say(*)", weight=0.3),
    "name of P": Task("tell {P}[ in {M}] the name of {Q}[ in {N}]", "ask(*, *);say(*)@M", weight=0.5),
    "fact P": Task("tell {P}[ in {M}] the {fact} of {Q}[ in {N}]", "detect(*)|ask(*, *);say(*)@M", weight=0.4),
    "open": Task("open {D}", "open(*)", weight=0.9),
    "close": Task("close {D}", "close(*)", weight=1),
    "wait": Task("wait {W}", "wait(*)", weight=0.6),
    "wait L": Task("wait {W} in {L}", "wait(*)@L", weight=0.5),
    "go": Task("go to {L}", "go_to(L)", weight=1.5),
    "go two": Task("go to {L}\ngo to {M}", "go_to(L);go_to(*)", weight=0.2),
    "back": Task("find me", "find_person(me)", weight=0.1),
    "open bring me": Task("open {L}\nbring {T} from {L} to me", "open(*)@L;pick(*)@L;hand_over(*, me)", weight=0.8),
    "open bring": Task(
        "open {L}\nbring {T} from {L} to {P}[ in {M}]", "open(*)@L;pick(*)@L;hand_over(*, P)@M", weight=0.8
    ),
    "open move": Task("open {L}\nmove {T} from {L} to {M}", "open(*)@L;pick(*)@L;place(*, *)@M", weight=0.5),
    "open take close": Task("open {L}\ntake {T} from {L}\nclose {L}", "open(*);pick(*);close(*)", weight=0.2),
    "open bring close": Task(
        "open {L}\ntake {T} from {L}\nclose {L}\nbring {T} to me",
        "open(*);pick(*);close(*);hand_over(*, me)",
        weight=0.4,
    ),
    "open look": Task("open {L}\ntell me what {W} in {L}", "open(*);detect(*)@L;say(*)", weight=0.3),
    "greet guide": Task("greet {P}[ in {L}]\nguide {P} to {M}", "say(*)@L;guide(P, *)", "L", 0.8),
    "greet ask report": Task("greet {P}[ in {L}]\nask {P} {W} and tell me", "say(*)@L;ask(P, *);say(*)", "L", 0.4),
    "greet ask": Task("greet {P}[ in {L}]\nask {P} {W}", "say(*)@L;ask(P, *)", "L", 0.4),
    "greet tell": Task("greet {P}[ in {L}]\ntell {P} {W}", "say(*)@L;say(*)", "L", 0.3),
    "greet follow": Task("greet {P}[ in {L}]\nfollow {P} to {M}", "say(*)@L;follow(P, *)", "L", 0.4),
    "ask guide": Task("ask {P}[ in {L}] {W}\nguide {P} to {M}", "ask(P, *)@L;guide(P, *)", "L", 0.4),
    "answer guide": Task("answer {P}[ in {L}]\nguide {P} to {M}", "answer_question(P)@L;guide(P, *)", "L", 0.4),
    "answer follow": Task("answer {P}[ in {L}]\nfollow {P} to {M}", "answer_question(P)@L;follow(P, *)", "L", 0.3),
    "tell answer": Task("tell {P}[ in {M}] {W}\nanswer {P}", "say(*)@M;answer_question(P)", weight=0.5),
    "tell guide": Task("tell {P}[ in {L}] {W}\nguide {P} to {M}", "say(*)@L;guide(P, *)", "L", 0.4),
    "bring tell": Task(
        "bring {T}[ from {L}] to {P}[ in {M}]\ntell {P} {W}", "pick(*)@L;hand_over(*, P)@M;say(*)", weight=1
    ),
    "bring wish": Task(
        "bring {T}[ from {L}] to {P}[ in {M}]\ntell {P} {W}", "pick(*)@L;hand_over(*, P)@M;say(*)", weight=0.8
    ),
    "guide wish": Task("guide {P}[ from {L}] to {M}\ntell {P} {W}", "guide(P, *)@L;say(*)", "L", 0.6),
    "guide tell": Task("guide {P}[ from {L}] to {M}\ntell {P} {W}", "guide(P, *)@L;say(*)", "L", 0.5),
    "guide bring": Task(
        "guide {P}[ from {L}] to {M}\nbring {T}[ from {N}] to {P}", "guide(P, *)@L;pick(*)@N;hand_over(*, P)", "L", 0.5
    ),
    "guide me bring me": Task(
        "guide me to {M}\nbring {T} from {L} to me", "guide(me, *);pick(*)@L;hand_over(*, me)", weight=0.3
    ),
    "bring follow": Task(
        "bring {T}[ from {L}] to {P}[ in {M}]\nfollow {P} to {N}",
        "pick(*)@L;hand_over(*, P)@M;follow(P, *)",
        weight=0.5,
    ),
    "bring guide": Task(
        "bring {T}[ from {L}] to {P}[ in {M}]\nguide {P} to {N}", "pick(*)@L;hand_over(*, P)@M;guide(P, *)", weight=0.4
    ),
    "bring back": Task(
        "bring {T} from {L} to {P}[ in {M}]\nfind me", "pick(*)@L;hand_over(*, P)@M;find_person(me)", weight=0.5
    ),
    "open bring back": Task(
        "open {L}\nbring {T} from {L} to {P}[ in {M}]\nfind me",
        "open(*);pick(*)@L;hand_over(*, P)@M;find_person(me)",
        weight=0.3,
    ),
    "move back": Task("move {T}[ from {L}] to {M}\nfind me", "pick(*)@L;place(*, *)@M;find_person(me)", weight=0.3),
    "wait back": Task("wait {W} in {L}\nfind me", "wait(*)@L;find_person(me)", weight=0.4),
    "close wait open": Task("close {D}\nwait {W}\nopen {D}", "close(*);wait(*);open(*)", weight=0.3),
    "open wait close": Task("open {D}\nwait {W}\nclose {D}", "open(*);wait(*);close(*)", weight=0.3),
    "open door bring me": Task("open {D}\nbring {T} from {L} to me", "open(*);pick(*)@L;hand_over(*, me)", weight=0.4),
    "open door bring": Task(
        "open {D}\nbring {T}[ from {L}] to {P}[ in {M}]", "open(*);pick(*)@L;hand_over(*, P)@M", weight=0.4
    ),
    "open door guide": Task("open {D}\nguide {P}[ from {L}] to {M}", "open(*);guide(P, *)@L", "L", 0.2),
    "move close": Task("move {T}[ from {L}] to {M}\nclose {D}", "pick(*)@L;place(*, *)@M;close(*)", weight=0.3),
    "close tell door": Task("close {D}\ntell {P}[ in {M}] {W}", "close(*);say(*)@M", weight=0.3),
    "count bring me": Task(
        "tell me how many {K} in {L}\nbring {T} from {L} to me",
        "count(*)@L;say(*);pick(*)@L;hand_over(*, me)",
        weight=0.4,
    ),
    "move count": Task(
        "move {T}[ from {L}] to {M}\ntell me how many {K} in {M}",
        "pick(*)@L;place(*, *)@M;count(*)@M;say(*)",
        weight=0.4,
    ),
    "unsafe": Task("refuse unsafe", weight=3),
    "impossible": Task("refuse impossible", weight=4.5),
    "contradictory": Task("refuse contradictory", weight=1.2),
    "bring ? P": Task("bring ? to {P}[ in {M}]", weight=0.3),
    "bring ? me": Task("bring ? to me", weight=0.3),
    "bring T ?": Task("bring {T}[ from {L}] to ?", weight=0.3),
    "move T ?": Task("move {T}[ from {L}] to ?", weight=0.2),
    "move ? L": Task("move ? to {M}", weight=0.2),
    "move ? ?": Task("move ? to ?", weight=0.2),
    "take ?": Task("take ?", weight=0.15),
    "guide P ?": Task("guide {P}[ from {L}] to ?", "", "L", weight=0.2),
    "guide ? L": Task("guide ? to {M}", weight=0.15),
    "guide ? ?": Task("guide ? to ?", weight=0.15),
    "follow ?": Task("follow ?", weight=0.2),
    "go ?": Task("go to ?", weight=0.15),
    "find ?": Task("find ?", weight=0.15),
    "find ? L": Task("find ? in {L}", weight=0.1),
    "greet ?": Task("greet ?", weight=0.1),
    "answer ?": Task("answer ?", weight=0.1),
    "ask ?": Task("ask {P}[ in {M}] ?", weight=0.1),
    "tell P ?": Task("tell {P}[ in {M}] ?", weight=0.2),
    "tell ? W": Task("tell ? {W}", weight=0.15),
    "count ?": Task("count ?", weight=0.1),
    "open ?": Task("open ?", weight=0.1),
    "close ?": Task("close ?", weight=0.1),
    "wait ?": Task("wait ?", weight=0.1),
    "look ?": Task("look at ?", weight=0.1),
}
JOINED = [name for name, task in TASKS.items() if task.steps and "me" not in name.split() and name != "back"]
JOINED += ["bring me", "count me", "whether me", "what me"]
REFUSED = ("unsafe", "impossible", "contradictory")
# Tasks that are often asked for together, about the same door, place or person.
CHAINS = (
    "open, wait, close",
    "open, close",
    "open, bring me",
    "open, bring",
    "open, take, close",
    "open, guide",
    "close, tell",
    "guide, tell",
    "guide, goodbye",
    "bring, tell",
    "bring, wait, guide",
    "find P, guide",
    "find P, follow",
    "greet, guide",
    "wait, bring me",
    "go, wait",
)
