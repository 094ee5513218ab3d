"""Skills from a PDDL domain: actions become skills with typed arguments, needs and effects in our own vocabulary.

In: the text of a domain in typed or untyped STRIPS (negative preconditions and universal deletions included). Out: the
text of a skills file, which `parse_skills` has checked, or a PddlError with file, line and name. What has no
counterpart is an error, never left out silently; `types` and `predicates` say what a word of the domain means here.

The robot, its hands and parameters that only say where it or a thing was before are no arguments of a skill: the
planner knows that. `(at ?here)` with `(located ?x ?here)` becomes at(place(x)); a deletion for every thing becomes
`not found(*)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from llm_ros.planner.conditions import PREDICATES
from llm_ros.planner.sexpr import Form, PddlError, Word, parse_forms
from llm_ros.planner.skills import TYPES, parse_skills

ROBOT = "robot"  # what stands for the robot itself or a hand of it
_TYPE_WORDS = {
    "location": "location loc place room area waypoint region spot position cell furniture surface site",
    "object": "object item thing obj ball block package box tool food movable physobj",
    "person": "person human people agent user operator",
    "door": "door gate",
    "category": "category kind",
    "text": "text string message sentence",
    "number": "number",
    ROBOT: "robot gripper hand arm robby vehicle",
}
_PREDICATE_WORDS = {
    "at": "at at_robot robot_at at_robby is_at in_room robot_in",
    "found": "found detected perceived seen in_reach",
    "holding": "holding carry carrying held has grasped holds",
    "hand_empty": "hand_empty handempty free hand_free gripper_free empty_hand arm_empty gripper_empty hands_free",
    "placement": "placement is_placement surface can_place",
    "graspable": "graspable pickable movable can_grasp",
    "closed": "closed is_closed shut",
    "opened": "opened open is_open unclosed",
    "located": "located located_at object_at in on obj_at item_at is_in is_on on_table",
    "inside": "inside part_of",
}
_REQUIREMENTS = (":strips", ":typing", ":negative-preconditions", ":equality", ":adl", ":universal-preconditions")
_REQUIREMENTS += (":conditional-effects", ":quantified-preconditions", ":disjunctive-preconditions")


def _index(words: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for meaning, text in words.items() for word in text.split()}


@dataclass
class _Action:
    """One action, read but not yet translated. Literals are (true, predicate, terms, form)."""

    name: Word
    types: dict[str, str] = field(default_factory=dict)
    needs: list = field(default_factory=list)
    effects: list = field(default_factory=list)


def import_skills(
    text: str, file: str = "<text>", types: Mapping[str, str] | None = None, predicates: Mapping[str, str] | None = None
) -> str:
    """The skills file that a domain amounts to. Raises PddlError; ValueError for a meaning that does not exist."""
    for given, known, what in ((types, (*TYPES, ROBOT), "type"), (predicates, _PREDICATE_WORDS, "predicate")):
        for word, meaning in (given or {}).items():
            if meaning not in (*known, "ignore"):
                raise ValueError(f"{what} {word} = {meaning!r}: expected one of {', '.join(known)}, ignore")
    skills = _Domain(text, file, types or {}, predicates or {}).skills()
    made = "# Made from a PDDL domain; descriptions, verbs, durations and what carries them out are to be added.\n"
    made += yaml.safe_dump({"skills": skills}, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    parse_skills(made, f"{file} (as skills)")
    return made


class _Domain:
    def __init__(self, text: str, file: str, types: Mapping[str, str], predicates: Mapping[str, str]):
        self.file = file
        self.type_words = _index(_TYPE_WORDS) | {word.lower(): meaning for word, meaning in types.items()}
        self.predicate_words = _index(_PREDICATE_WORDS)
        self.predicate_words |= {word.lower().replace("-", "_"): meaning for word, meaning in predicates.items()}
        self.parents: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.actions: list[_Action] = []
        self._read(text)

    def error(self, where, message: str) -> PddlError:
        return PddlError(f"{self.file}:{where.line}: {message}")

    # Reading

    def _read(self, text: str) -> None:
        forms = parse_forms(text, self.file)
        if len(forms) != 1 or not isinstance(forms[0], Form) or forms[0].head != "define":
            raise self.error(forms, "expected one form (define (domain NAME) ...)")
        domain = forms[0]
        if len(domain) < 2 or not isinstance(domain[1], Form) or domain[1].head != "domain":
            raise self.error(domain, "expected (domain NAME): this is no domain")
        actions = []
        for form in domain[2:]:
            if not isinstance(form, Form):
                raise self.error(form, f"expected a form, got {form.written[:60]!r}")
            if form.head == ":requirements":
                for word in form[1:]:
                    if word not in _REQUIREMENTS:
                        raise self.error(form, f"requirement {str(word)[:60]} has no counterpart in skills")
            elif form.head == ":types":
                self.parents = self._typed(form[1:])
            elif form.head == ":constants":
                self.constants = self._typed(form[1:])
            elif form.head == ":action":
                actions.append(form)
            elif form.head != ":predicates":
                raise self.error(form, f"{form.head[:60] or 'a list'} has no counterpart in skills")
        if not actions:
            raise self.error(domain, "the domain has no :action")
        self.actions = [self._action(form) for form in actions]

    def _typed(self, words) -> dict[str, str]:
        """`a b - t c` as {a: t, b: t, c: object}."""
        found, waiting, words = {}, {}, iter(words)
        for word in words:
            if not isinstance(word, Word):
                raise self.error(word, "expected a name, got a list ('either' has no counterpart in skills)")
            if word != "-":
                if word in found or word in waiting:
                    raise self.error(word, f"{word[:60]} is given twice")
                waiting[word] = "object"
                continue
            kind = next(words, word)
            if not isinstance(kind, Word) or kind == "-" or not waiting:
                raise self.error(kind, "expected one type after '-' ('either' has no counterpart in skills)")
            found.update(dict.fromkeys(waiting, kind))
            waiting = {}
        return found | waiting

    def _action(self, form: Form) -> _Action:
        if len(form) < 2 or not isinstance(form[1], Word):
            raise self.error(form, ":action without a name")
        action, parts = _Action(form[1]), form[2:]
        for key, value in zip(parts[::2], parts[1::2], strict=False):
            if key not in (":parameters", ":precondition", ":effect") or not isinstance(value, Form):
                raise self.error(key, f"action {action.name[:60]}: {str(key)[:60]} has no counterpart in skills")
            if key == ":parameters":
                action.types = self._typed(value)
            elif key == ":precondition":
                action.needs = self._literals(value, action, False)
            else:
                action.effects = self._literals(value, action, True)
        if len(parts) % 2:
            raise self.error(form, f"action {action.name[:60]}: {str(parts[-1])[:60]} without a value")
        return action

    def _literals(self, form: Form, action: _Action, effect: bool, true: bool = True, bound=()) -> list:
        """The literals of a conjunction."""
        if not form:
            return []
        head = form.head
        if head == "and" and true:
            return [
                literal
                for part in form[1:]
                for literal in self._literals(self._form(part, action), action, effect, true, bound)
            ]
        if head == "not" and len(form) == 2 and true:
            return self._literals(self._form(form[1], action), action, effect, False, bound)
        if head == "forall" and len(form) == 3 and effect and isinstance(form[1], Form):
            return self._literals(self._form(form[2], action), action, effect, true, (*bound, *self._typed(form[1])))
        if head in ("", "and", "not", "or", "imply", "when", "exists", "forall", "=", "increase", "decrease", "assign"):
            raise self.error(form, f"action {action.name[:60]}: ({head or '('} ...) has no counterpart in skills")
        for term in form[1:]:
            if not isinstance(term, Word) or term[0] == "?" and term not in action.types and term not in bound:
                raise self.error(form, f"action {action.name[:60]}: {str(term)[:60]} is no parameter")
        terms = tuple("*" if term in bound else str(term) for term in form[1:])
        return [(true, head, terms, form)]

    def _form(self, part, action: _Action) -> Form:
        if not isinstance(part, Form):
            raise self.error(part, f"action {action.name[:60]}: expected a condition, got {part.written[:60]!r}")
        return part

    # Meaning

    def skills(self) -> dict[str, dict]:
        """All skills, as the values of a skills file."""
        found, written = {}, {action.name for action in self.actions}
        for action in self.actions:
            if action.name.endswith("-anywhere") and action.name.removesuffix("-anywhere") in written:
                continue  # our own export's second way of an action
            name = re.sub(r"\W", "_", action.name, flags=re.ASCII)
            if not name.isidentifier():
                raise self.error(action.name, f"{action.name[:60]!r} cannot be the name of a skill")
            if name in found:
                raise self.error(action.name, f"action {action.name[:60]}: there is already a skill {name}")
            found[name] = _Translation(self, action).skill()
        return found

    def meaning_of_type(self, name: str) -> str | None:
        """What a type, or the nearest of its ancestors that means something, stands for. That everything is an
        `object` says nothing of a type.
        """
        seen = set()
        while name not in self.type_words or seen and name == "object":
            if name in seen or name not in self.parents:
                return None
            seen.add(name)
            name = self.parents[name]
        return self.type_words[name]


class _Translation:
    """One action as a skill."""

    def __init__(self, domain: _Domain, action: _Action):
        self.domain, self.action = domain, action
        self.robots = {n for n, kind in (action.types | domain.constants).items() if self._kind(kind) == ROBOT}
        self.needs = [self._literal(*literal) for literal in action.needs]
        self.effects = [self._literal(*literal) for literal in action.effects]
        self.needs = [literal for literal in self.needs if literal]
        self.effects = [literal for literal in self.effects if literal]
        self.here = {terms[0] for true, name, terms, _ in self.needs if true and name == "at"}
        self.at_places = {terms[1] for true, name, terms, _ in self.needs if name == "inside"}
        self.home = {terms[0]: terms[1] for true, name, terms, _ in self.needs if true and name == "located"}

    def _kind(self, name: str) -> str | None:
        return self.domain.meaning_of_type(name)

    def _error(self, form, message: str) -> PddlError:
        return self.domain.error(form, f"action {self.action.name[:60]}: {message}")

    def _literal(self, true: bool, head: str, terms: tuple[str, ...], form: Form):
        """(true, predicate of ours, terms without the robot, form), or None for what says nothing here."""
        if head.startswith(("did-", "did_")):
            return None
        meaning = self.domain.predicate_words.get(head.replace("-", "_"))
        if meaning is None:
            known = ", ".join(_PREDICATE_WORDS)
            raise self._error(
                form, f"predicate {head[:60]} has no counterpart in skills; say which of {known} it is, or ignore it"
            )
        if meaning == "ignore":
            return None
        terms = tuple(term for term in terms if term not in self.robots)
        if meaning in ("at", "located") and len(terms) in (1, 2):
            meaning = ("at", "located")[len(terms) - 1]  # both are called `at` in many domains
        wanted = {"inside": 2, "opened": 1, **PREDICATES}[meaning]
        if len(terms) != wanted:
            raise self._error(form, f"{head[:60]} as {meaning} takes {wanted} name(s), got {len(terms)}")
        return true, meaning, terms, form

    def skill(self) -> dict:
        """The values of the skill."""
        arguments = self._arguments()
        names = {variable: variable[1:].replace("-", "_") for variable in arguments}
        args = {names[variable]: kind for variable, kind in arguments.items()}
        for variable in arguments:
            if not names[variable].isidentifier():
                raise self._error(self.action.name, f"{variable[:60]!r} cannot be the name of an argument")
        found: dict = {"description": re.sub(r"[\W_]+", " ", self.action.name).strip().capitalize()}
        if args:
            found["args"] = {name: self._argument(kind) for name, kind in args.items()}
        found["needs"] = self._needs(names)
        found["effects"] = self._effects(names)
        return found

    @staticmethod
    def _argument(kind: str) -> dict:
        return {"type": kind, "free": True} if kind in ("object", "person", "door") else {"type": kind}

    def _auxiliary(self, variable: str) -> bool:
        """Whether a parameter only says where the robot or a thing was before, or which hand it uses."""
        if variable in self.robots:
            return True
        used = False
        for true, name, terms, _ in self.needs:
            if variable in terms:
                used = True
                where = name == "at" or name in ("inside", "located") and variable == terms[-1] or name == "inside"
                if not (true and where):
                    return False
        for true, name, terms, _ in self.effects:
            if variable in terms and (true or name not in ("at", "located") or variable != terms[-1]):
                return False
        if variable in self.here and variable not in self.home.values():
            # The only place of the action: without it the skill would not be about anything.
            leaves = any(not true and name == "at" and variable in terms for true, name, terms, _ in self.effects)
            inside = any(name == "inside" and terms[0] == variable for _, name, terms, _ in self.needs)
            return leaves or inside
        return used

    def _arguments(self) -> dict[str, str]:
        """Parameters that are arguments, with our types."""
        places = {
            terms[-1] for _, name, terms, _ in (*self.needs, *self.effects) if name in ("at", "located", "inside")
        }
        found = {}
        for variable, kind in self.action.types.items():
            if self._auxiliary(variable):
                continue
            meaning = self._kind(kind)
            if variable in places and meaning in (None, "object"):
                meaning = "location"
            if meaning is None:
                known = ", ".join((*TYPES, ROBOT))
                what = f"type {kind[:60]} of {variable[:60]} has no counterpart in skills; say which of {known} it is"
                raise self._error(self.action.name, what)
            if meaning != "ignore":
                found[variable] = meaning
        return found

    def _condition(self, true: bool, name: str, terms, form) -> str:
        for term in terms:
            if term != "*" and term[0] != "?" and "place(" not in term and not term.isidentifier():
                raise self._error(form, f"the constant {term[:60]} has no counterpart in skills")
        text = f"{name}({', '.join(terms)})" if terms else name
        return text if true else f"not {text}"

    def _named(self, terms, names: Mapping[str, str], form: Form) -> list[str]:
        found = []
        for term in terms:
            if term == "*":
                found.append(term)
            elif term in names:
                found.append(names[term])
            else:
                raise self._error(form, f"{term[:60]} is no argument of the skill, so this has no counterpart")
        return found

    def _needs(self, names: Mapping[str, str]) -> list[str]:
        found = []
        things = {place: thing for thing, place in self.home.items()}
        for true, name, terms, form in self.needs:
            if name == "located":
                if not true or terms[1] not in self.here | self.at_places and terms[1] in names:
                    raise self._error(form, "where a thing is can only be needed as where the robot is")
                continue
            if name in ("at", "inside"):
                place = terms[-1]
                if place in names:
                    found.append(self._condition(true, "at", self._named((place,), names, form), form))
                elif place in things and true:
                    found.append(f"at(place({self._named((things[place],), names, form)[0]}))")
                continue
            if name == "opened":
                raise self._error(form, "an open door cannot be needed, only brought about")
            if name == "closed":
                raise self._error(form, "a closed door cannot be needed, only brought about")
            found.append(self._condition(true, name, self._named(terms, names, form), form))
        return list(dict.fromkeys(found))

    def _effects(self, names: Mapping[str, str]) -> list[str]:
        found, last = [], []
        moves = any(true and name == "at" for true, name, _, _ in self.effects)
        placed = {terms[0] for true, name, terms, _ in self.effects if true and name == "located"}
        taken = {terms[0] for true, name, terms, _ in self.effects if true and name == "holding"}
        all_of = {
            name
            for name in ("found", "holding")
            if any(
                not true and n == name and (terms[0] == "*" or terms[0] in self.domain.constants)
                for true, n, terms, _ in self.effects
            )
        }
        for name in sorted(all_of):
            last.append(f"not {name}(*)")
        for true, name, terms, form in self.effects:
            if name in all_of and not true:
                continue
            if name == "inside":
                raise self._error(form, "rooms cannot be moved")
            if name == "at" and not true:
                if not moves:
                    found.append("not at(*)")
            elif name == "at" and terms[0] in self.domain.constants and terms[0] not in names:
                found.append("not at(*)")
            elif name == "located" and not true:
                if terms[0] not in placed | taken:
                    raise self._error(
                        form, f"{terms[0][:60]} is no longer there, but neither in the hand nor elsewhere"
                    )
            elif name == "hand_empty" and not true:
                if not taken:
                    raise self._error(form, "the hand is no longer empty, but nothing is in it")
            elif name in ("closed", "opened"):
                if true:
                    text = f"closed({self._named(terms, names, form)[0]})"
                    found.append(text if name == "closed" else f"not {text}")
                elif not any(t and n in ("closed", "opened") and x == terms for t, n, x, _ in self.effects):
                    text = f"closed({self._named(terms, names, form)[0]})"
                    found.append(f"not {text}" if name == "closed" else text)
            elif name in ("placement", "graspable"):
                raise self._error(form, f"{name} cannot be changed")
            else:
                found.append(self._condition(true, name, self._named(terms, names, form), form))
        # What a drive leaves behind comes before what it finds.
        drives = [text for text in found if text.startswith(("at(", "not at("))]
        rest = sorted((text for text in found if text not in drives), key=lambda text: not text.startswith("not "))
        return list(dict.fromkeys([*drives, *last, *rest]))
