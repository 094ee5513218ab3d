"""Verbs and what they ask for: a lexicon of deeds ("frames"), of harm, and of work that few robots can do.

In: the skills. Out: a `Lexicon` that recognises verb phrases in a command. Frames are finer than roles: `bring` becomes
several steps. A skill that plays no role adds its own verbs (its `verbs`, its name, the first word of its
description and of
its examples) as a frame of its own, which goes before the lexicon where it is longer or new.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_ros.planner import words as w
from llm_ros.planner.roles import ROLES
from llm_ros.planner.tokens import Token, edit_distance, words_of

FRAMES = {
    "go": "sprint|jog|race|march|zoom|scoot|cruise|trek|amble|go|go to|navigate|drive|head|walk|proceed|travel|"
    "come|run|get to|get over to|make your way|find your "
    "way|visit|enter|roll|hurry|"
    "rush|swing by|stop by|drop by|pop over|nip|approach|reach|step|position yourself|station yourself|show up|"
    "make a trip|take a trip|"
    "take yourself|move yourself|get yourself|wander|stroll|dash|arrive|go over|come over|pay a visit|go back|"
    "come back|return|move|"
    "head over|go towards|relocate yourself|advance|park yourself|set off|set out|direct yourself|pass by|make "
    "for|pop into|pop in|pop",
    "find": "find|locate|look for|search|search for|spot|seek|seek out|track down|hunt for|check for|look around "
    "for|scan for|scan|hunt down|discover|"
    "figure out where|look|look out for|have a look for|browse|trace|detect the presence of|keep an eye out for|"
    "look up|go looking for|"
    "see if you can find|see whether you can find|try finding|pinpoint|find out where|search out",
    "meet": "meet|meet up with|meet with|contact|get to know|get acquainted with|make contact with|get in touch "
    "with|join|"
    "make the acquaintance of|become acquainted with|catch up with|encounter|get together with|see",
    "take": "take|get|grasp|grab|pick up|pick|collect|retrieve|lift|lift up|obtain|seize|acquire|take hold of|get "
    "hold of|get a hold of|grab hold of|"
    "snatch|clutch|remove|scoop up|gather|gather up|catch|procure|pull|pull out|take up",
    "bring": "bring|sort|fetch|deliver|hand|hand over|give|carry|pass|pass over|serve|supply|provide|hand out|"
    "transport|haul|bring over|"
    "bring back|offer|give back|turn over|send|distribute|present|furnish|lend|bring along|"
    "i want|i would like|i need|i am looking for|i could use|can i have|could i have|may i have|can i get|could i "
    "get|may i get|"
    "i would love|i would like to have|i want to have|i would appreciate|i require|i am after|i feel like|i could "
    "do with|"
    "i fancy|i would enjoy|i am in need of|i would like to get|please have|i would kill for|i could murder|"
    "i could go for|i will have|i will take",
    "discard": "throw away|throw out|discard|dispose of|get rid of|bin|trash|chuck away|chuck out|toss out|toss "
    "away|dump",
    "throw": "throw|toss|chuck",
    "wish": "wants|needs|would like|would love|asked for|is asking for|is waiting for|requires|could use|"
    "requested|wishes for|wants to have|"
    "would appreciate|has asked for|has requested|would like to have|ordered|has ordered|is in need of|is after|"
    "is looking for|receives|should have|should get|must have|is to have|ought to have|"
    "ought|has to|is supposed to|is dying for|is craving|craves|is desperate for|is keen on|is hoping for|fancies|"
    "is longing for|could do with|would fancy|would enjoy|is thirsty for|is in the mood for|would kill for|"
    "could murder|could go for|"
    "wishes to have|wants to get|gets to have|is to get|need|want|likes|belongs|belong",
    "place": "clear|shift|load|insert|slide|tuck|slip|hang|replace|put|place|set|leave|lay|drop|drop off|store|"
    "deposit|position|put down|set down|put away|stow|stow "
    "away|transfer|relocate|stick|"
    "put back|shelve|lay down|rest|stash|arrange|move over|spread|spread out|lay out|pop back",
    "guide": "guide|lead|escort|accompany|usher|direct|conduct|steer|show the way|show|help get|help|walk|shepherd|"
    "chaperone|pilot|see",
    "follow": "follow|go after|go behind|tail|trail|shadow|come after|walk behind|walk along behind|go along behind|"
    "come along behind|come behind|go with|stay behind|chase|stick with|keep up with|"
    "walk after|stay with|tag along with|go along with|pursue|walk with|come with|come along with|keep following|"
    "move behind|"
    "stay close to|keep close to|stay right behind|walk along with|run after|drive behind|drive after",
    "greet": "greet|salute|welcome|say hello|say hi|say hello to|say hi to|introduce yourself|introduce yourself "
    "to|present yourself to|wave to|wave at|"
    "say good morning to|say goodbye to|say good evening to|say good afternoon to|bid farewell to|bid welcome to|"
    "say a greeting to|give a greeting to|give a warm welcome to|say bye to|extend a greeting to|extend greetings "
    "to|give greetings to",
    "tell": "tell|i was wondering|i have been wondering|i would love to know|i am dying to know|"
    "remind|warn|advise|instruct|urge|invite|wish|alert|crack|get back to|"
    "i do not know|shout|yell|whisper|call out|cry out|"
    "i have no idea|i have no clue|i have not got a clue|i have not a clue|i am not sure|i forgot|any idea|any clue|"
    "have you any idea|do you have any idea|do you happen to know|got any idea|"
    "inform|notify|report|announce|say|speak|recite|mention|explain|relay|share|convey|communicate|"
    "talk|talk to|speak to|state|"
    "utter|let|let know|update|declare|proclaim|repeat|pass on|brief|speak with|chat with|talk with|report back|"
    "give information about|say aloud|say to|break the news to|break the news|break it to|"
    "i want to know|i would like to know|i need to know|i wonder|i am wondering|i am curious|do you know|i must know",
    "answer": "answer|respond|reply|respond to|reply to|give an answer to|take a question from|take questions "
    "from|field|handle a question from|help with a question",
    "ask": "ask|question|inquire|enquire|query|pose|put a question to|quiz|request|interview|find out from|learn from",
    "count": "count|count up|tally|total|do a count of|take a count of|make a count of|get a count of|count how "
    "many|get the number of",
    "describe": "describe|identify|inspect|examine|recognize|recognise|detect|observe|look at|take a look at|have "
    "a look at|check out|check|"
    "analyze|analyse|determine|name|check on|look over|look into|find out|figure out|work "
    "out|learn|establish|"
    "classify|watch|survey|look inside|see what|verify|ascertain|check whether|check if|see if|see whether|"
    "see how|look if|look whether",
    "open": "open|open up|unlatch|crack open|pull open|swing open",
    "close": "close|shut|close up|shut up|pull shut|push shut|swing shut",
    "wait": "wait|pause|stand by|hold on|stay|hang on|remain|stand still|idle|linger|hold still|sleep",
    "stop": "stop|halt|abort|cancel|freeze|quit|cease",
}
HARM = frozenset(
    "hurt harm hit kill kick punch stab burn poison attack shoot smash destroy steal rob drown choke slap "
    "strangle beat threaten crush "
    "murder wound injure bite spit electrocute shove insult scare knock ram crash break explode ignite bomb trap "
    "scald trash vandalize "
    "vandalise scratch tackle strike whip bully gag kidnap spill flood sabotage whack smack thump clobber "
    "thrash clout wallop spank trample maim cripple suffocate smother startle terrify frighten taunt humiliate harass "
    "molest trip ambush".split()
)
HARM_PHRASES = (
    "set fire",
    "on fire",
    "run over",
    "beat up",
    "knock over",
    "knock down",
    "throw at",
    "blow up",
    "lock in",
    "cut off",
    "run into",
    "drive into",
    "tip over",
    "set alight",
    "at full speed",
    "as hard as you can",
    "tie up",
    "push over",
    "burn down",
    "pour on",
    "pour over",
    "spill on",
    "hack into",
)
HARM_THINGS = frozenset(
    "gun bomb grenade weapon explosive explosives poison bleach acid pistol rifle firework fireworks dynamite "
    "ammunition".split()
)
# Verbs of everyday work: understood, but only done where a skill says so.
WORK = frozenset(
    "cook clean wash vacuum mop sweep paint repair fix build dance sing fly swim jump climb eat drink call phone "
    "email text buy order pay play iron fold "
    "cut slice pour fill bake boil fry grill roast mix stir peel chop dust polish scrub rinse dry iron sew knit "
    "mow water feed walk sleep cry laugh draw write "
    "read print photograph film record teleport levitate hover marry vote invest trade hack download install "
    "charge drill hammer weld solder "
    "assemble disassemble unscrew screw juggle catch kiss hug cuddle massage dress undress shave bathe babysit "
    "park refuel garden plant harvest "
    "brew prepare make turn switch press push unlock lock decorate tidy organize organise empty recycle crawl "
    "dive ride sail travel "
    "shower think predict heal cure diagnose operate vanish disappear duplicate clone multiply shrink enlarge "
    "smell taste weigh measure "
    "sign translate wrap unwrap pack unpack iron vacuum-clean hang light extinguish set reserve book schedule "
    "calculate solve program drive-to "
    "ski skate surf run-away somersault spin whistle hum rap dissolve melt freeze heat warm cool microwave toast "
    "squeeze blend "
    "shop resurrect conquer swallow stare fight wrestle grow shave style comb brush".split()
)


@dataclass(frozen=True)
class Verb:
    """A verb phrase at tokens start..end-1. frame: key of FRAMES, "harm", "work" or "skill:<name>"; word: its first
    word."""

    start: int
    end: int
    frame: str
    word: str


class Lexicon:
    """All verb phrases that count in a command, for one set of skills."""

    def __init__(self, skills):
        self._phrases: dict[tuple[str, ...], str] = {}
        for frame, phrases in FRAMES.items():
            for phrase in phrases.split("|"):
                self._add(phrase.split(), frame)
        for word in sorted(WORK - {"walk", "travel", "catch", "set"}):
            for form in w.verb_forms(word):
                self._phrases.setdefault((form,), "work")
        for word in sorted(HARM):
            for form in w.verb_forms(word):
                self._phrases[(form,)] = "harm"
        for skill in skills.values():
            own = skill_verbs(skill)
            for phrase in own:
                if phrase and (
                    not skill.role
                    or len(phrase) > 1
                    or (phrase[0],) not in self._phrases
                    or self._phrases[(phrase[0],)] == "work"
                ):
                    frame = (
                        f"skill:{skill.name}"
                        if not skill.role
                        else _FRAME_OF_ROLE.get(skill.role, f"skill:{skill.name}")
                    )
                    self._add(phrase, frame, replace=not skill.role)
        self._longest = max(len(phrase) for phrase in self._phrases)
        self.words = frozenset(phrase[0] for phrase in self._phrases)

    def _add(self, phrase: list[str], frame: str, replace: bool = False) -> None:
        for form in (
            w.verb_forms(phrase[0])
            if frame != "wish" and phrase[0] not in ("i", "can", "may", "could")
            else {phrase[0]}
        ):
            key = (form, *phrase[1:])
            if replace or key not in self._phrases:
                self._phrases[key] = frame

    def match(self, tokens: list[Token], start: int, taken: dict[int, object]) -> Verb | None:
        """The longest verb phrase that begins at `start`; tokens of mentions (`taken`) are no verbs."""
        if start >= len(tokens) or start in taken or tokens[start].quoted:
            return None
        for length in range(min(self._longest, len(tokens) - start), 0, -1):
            part = tokens[start : start + length]
            key = tuple(token.low for token in part)
            frame = self._phrases.get(key)
            if frame and not any(start + i in taken for i in range(length)):
                return Verb(start, start + length, frame, key[0])
            gap = self._gapped(key) if length > 1 else None
            if gap:
                return Verb(start, start + length, gap, key[0])
        return None

    def misspelt(self, tokens: list[Token], start: int, taken: dict[int, object]) -> Verb | None:
        """A verb with one wrong letter, where a clause has to begin with one."""
        if (
            start >= len(tokens)
            or start in taken
            or len(tokens[start].low) < 5
            or tokens[start].low in w.FILLERS
            or tokens[start].low in w.PREPOSITIONS
        ):
            return None
        low = tokens[start].low
        for (word, *rest), frame in self._phrases.items():
            if (
                not rest
                and len(word) >= 4
                and word[0] == low[0]
                and frame not in ("harm", "work")
                and edit_distance(low, word, 1) == 1
            ):
                return Verb(start, start + 1, frame, word)
        return None

    def _gapped(self, key: tuple[str, ...]) -> str | None:
        """A skill's phrase with determiners inside: "take a photo" for take_photo."""
        short = tuple(word for word in key if word not in w.DETERMINERS)
        frame = self._phrases.get(short) if 1 < len(short) < len(key) and key[-1] not in w.DETERMINERS else None
        return frame if frame and frame.startswith("skill:") else None


_FRAME_OF_ROLE = {
    "go_to": "go",
    "find_object": "find",
    "find_person": "find",
    "pick": "take",
    "place": "place",
    "hand_over": "bring",
    "guide": "guide",
    "follow": "follow",
    "say": "tell",
    "answer_question": "answer",
    "count": "count",
    "open": "open",
    "close": "close",
    "ask": "ask",
    "wait": "wait",
    "detect": "describe",
}


def skill_verbs(skill) -> list[list[str]]:
    """The verb phrases that ask for a skill: its `verbs` and its name; without a role also what its texts open with."""
    phrases = [words_of(verb) for verb in skill.verbs]
    if not skill.role:
        name = words_of(skill.name)
        phrases.append(name)
        known = {form for role in ROLES.values() for form in role.forms} | {
            "take",
            "make",
            "do",
            "use",
            "perform",
            "turn",
            "set",
            "play",
            "give",
            "have",
        }
        for text in (skill.name, skill.description, *skill.examples):
            first = words_of(text)[:1]
            if first and first[0] not in known and first[0] not in w.DETERMINERS:
                phrases.append(first)
            elif text is not skill.name and first:
                phrases.append([word for word in words_of(text)[:3] if word not in w.DETERMINERS][:2])
    return [phrase for phrase in phrases if phrase]
