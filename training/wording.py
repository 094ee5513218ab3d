"""Turns tasks into commands: reads phrases/*.txt and fills a phrase with the names of a world.

A phrase file has sections `== task`, and one phrase a line: `[a|b]` chooses, `{aT}` a slot (see `Filler`),
`<<…>>` marks the words that the robot is to look at or say,
`!` an order that may follow "could you" and be joined with others.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

PHRASES = Path(__file__).parent / "phrases"
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_IN = {
    "room": ("in", "in", "in", "inside", "over in"),
    "place": ("on", "on", "at", "in", "by", "near", "over by", "next to"),
}
_PREFIX = (
    "please |could you |can you |would you |could you please |can you please |"
    "kindly |robot, |hey robot, |hey, |ok, |okay so |"
    "I'd like you to |I want you to |I need you to |would you mind and |"
    "it would be great if you could |it'd be lovely if you could |"
    "do me a favour and |be a dear and |be so kind as to |I was hoping you could |you should |you need to |go and |go |"
    "right, |so, |um, |listen, |quick, |hurry up and |your task is to |when you have a minute, |if you don't mind, |"
    "I'd appreciate it if you could |would you be able to |any chance you could |"
    "is it possible for you to |let's see you |"
    "time to |you have to |just |now |first of all, |alright, |mate, |hey you, |excuse me, could you |please go and |"
    "I think you should |you'd better |how about you |why don't you |"
    "yo, |pls |go on, |come on, |be a star and |would you mind if I asked you to |all I ask is that you |"
    "when you're done there, |I'd be glad if you could |the plan is this: |do you think you could |you couldn't "
    "possibly |may I ask you to |would it be too much to ask you to |what I'd like you to do is |kindly go and |"
).split("|")
_SUFFIX = (
    "||||, please| please|, would you|, will you|, if you can|, thanks|, thank you|, okay?|, right?|, quick|, asap|"
    " as soon as you can| right away| now|, if you don't mind|, cheers|, mate|, pal|, and make it snappy|, chop chop|"
    " when you get a chance| for me|, there's a good robot|!|...|"
    " pls|, thx|, ta|, will ya|, there's a dear|, that'd be great|, I'd be grateful|, won't you|, much appreciated"
).split("|")
_ASIDES = (
    "I'm a bit busy right now|my hands are full|my back hurts|the guests arrive soon|"
    "it's been a long day|sorry to bother you|"
    "I know you're busy|I have a meeting in a minute|good morning|hi there|"
    "I'd do it myself but I can't|nobody else is around|"
    "it's a bit urgent|no rush|take your time|everyone else is busy|thanks in advance|you're the best|one more thing|"
    "I hope that's fine with you|you know how it is|I almost forgot|here's what I need|there's something you can do|"
    "I keep forgetting things|what a day|I've got a job for you|this is important|the boss is watching|I can't get up|"
    "I'm in the middle of something|it won't take long|be careful|I'm counting on you|you know the drill|don't be long|"
    "sorry, me again|I hate to ask|you'll like this one|that's all for now|my feet are killing me|it's raining again|"
    "we've got company|I've been up since five|let's get going|you look well today|nice weather, isn't it"
).split("|")
STATEMENTS = (
    "dinner is ready|the meeting starts at noon|{his} taxi is here|the lift is broken|"
    "I'll be late|somebody is at the door|lunch is served|"
    "{he} can go home|the plumber is coming tomorrow|the bus leaves in ten minutes|"
    "it is raining|{his} sister called|the report is done|"
    "the party starts at eight|the doctor will see {him} now|the coffee machine is fixed|"
    "there is cake in the kitchen|we are out of milk|"
    "class is cancelled|the train is delayed|the room is booked|{his} parcel has arrived|"
    "I found {his} keys|the visitors have arrived|"
    "the water is off until four|we leave in an hour|{he} won the raffle|"
    "everything is all right|the wifi is down|I need {his} help|"
    "{Q} is looking for {him}|{Q} wants to talk to {him}|{Q} is waiting {inM}|"
    "{theT} is {inM}|{theT} is broken|the toast is burning|"
    "his car is blocking the way|the laundry is dry|there is a phone call for {him}|"
    "the exam is over|the boss is back|the film begins soon|"
    "we close at six|the ice is thin|practice is at five today|the baby is asleep|"
    "supper will be late|the heating is off|"
    "somebody parked {his} bike in the wrong spot|{he} should take a break|"
    "{he} must not forget the medicine|we are all waiting for {him}"
).split("|")
ORDERS = (
    "to come here|to come {toM}|to go home|to hurry up|to be quiet|to take a break|"
    "to call me|to wait {inM}|to sit down|to get ready|"
    "to bring {his} own cup|to come to dinner|not to worry|to meet me {inM}|"
    "to stay where {he} is|to turn the music down|to leave"
).split("|")
QUESTIONS = (
    "whether {he} needs help|if {he} wants something to drink|what {his} favourite colour is|when {he} will be back|"
    "where {he} put {theT}|if {he} has seen {theT}|how {he} is feeling|"
    "what {he} would like for lunch|whether {he} is hungry|"
    "what {his} name is|how old {he} is|where {he} comes from|if {he} is coming to the party|when the meeting starts|"
    "why {he} is late|who won the game|what time {he} leaves|whether {he} has met {Q}|how many guests are coming|"
    "which film {he} wants to watch|if {he} slept well|what the plan is|"
    "whether {he} wants to join us|what the wifi password is|"
    "how the exam went|where {Q} is|what is for dinner|if the report is ready|whether the heating works"
).split("|")
LOOKS = (
    "is the {most} {K} {inL}|{nK} are {inL}|is {inL}|kind of {K} is {inL}|"
    "{K} {inL} is the {most}|of the {nK} {inL} is the {most}|"
    "things are {inL}|{nK} you can see {inL}|the {most} thing {inL} is|we have {inL}|"
    "has been left {inL}|is lying around {inL}|"
    "colour the {T} {inL} is|is the {most} thing {inL}|there is {inL}|"
    "{K} is closest to the edge {inL}|{nK} do we have {inL}"
).split("|")
# What statements and questions go on with; all of it is part of what is said.
TAILS = (
    " at three| at half past four| on Friday| this afternoon| in ten minutes| in a quarter of an hour|"
    " tomorrow morning| to market| for the meeting| with {his} sister| next week| because of the rain|"
    " at the main gate| after all| until further notice| for the first time| in the evening| from now on|"
    " together with the others| on the first floor|"
    " before it gets dark| as soon as possible| at last"
).split("|")
DURATIONS = (
    "10 seconds|ten seconds|a minute|half a minute|two minutes|5 seconds|thirty seconds|one minute|3 minutes|a moment|"
    "twenty seconds|five minutes|45 seconds|a couple of minutes|fifteen seconds|"
    "40 secs|90 seconds|six seconds|4 minutes"
).split("|")
ADJECTIVES = "small big long short thin thick heavy light new old clean cheap soft hard bright dark".split()
SUPERLATIVES = (
    "smallest biggest longest shortest thinnest thickest heaviest lightest newest oldest cleanest cheapest softest "
    "hardest brightest darkest"
).split()
FREE_THINGS = (
    "umbrella|set of keys|old newspaper|birthday present|wallet|reading glasses|ladder|"
    "parcel|suitcase|flower bouquet|walking stick|"
    "lunch box|tennis racket|sunglasses|first aid kit|cardboard box|spare battery|"
    "visitor badge|laptop|water jug|paint can|whistle|map"
).split("|")
FREE_PEOPLE = (
    "the guy with the beard|the lady with the dog|the kid with the backpack|"
    "the bloke in the corner|my grandmother|the new intern|"
    "the man with the hat|the girl with the red hair|the delivery guy|"
    "the chap by the window|my boss|the woman on the phone|the twins"
).split("|")
NO_PLACES = (
    "rooftop|swimming pool|stadium|parking lot|supermarket|dungeon|beach|post office|pub|train station|casino".split(
        "|"
    )
)
NO_PEOPLE = "Gustavo|Leopoldine|Thaddeus|Cornelius|Wilhelmina|Barnaby|Hildegard|Ignatius|Philippa".split("|")
# Between what is said first and what is to be done before it.
FIRST = (
    ", but before you do that, |, but before that, |. Before that, |, but first |. But first, |"
    ". Before you do, though, |; before that, |. First of all, though, "
).split("|")
BEGIN = "first, |first |first of all, |to begin with, |start by this: |one, |before anything else, ".split("|")
SEVERAL = {
    2: (
        "two things. |two things, please: |I have two jobs for you. |There are two things to do. |"
        "I need two things from you: "
    ).split("|"),
    3: (
        "three things. |three things, please: |I have three jobs for you. |There are three things to do. |"
        "I need three things from you: "
    ).split("|"),
}
# Between tasks: before an order, and before anything.
THEN = (
    " and | and then |, then |, and |. Then |. After that |, after that |; then |, and after that |"
    ". Next, | before you |. Once you've done that, |, and afterwards |. Afterwards, |, and finally |"
    ". When that's done, |. As soon as that's done, |, after which you |; after that, |, and when you're done, |"
    ". Having done that, |, and once that's done, |. Following that, "
).split("|")
ALSO = ". |. |. |; |. Also, |. And |. Oh and |. Apart from that, |. And one more thing: |. Second, ".split("|")
MANY = ("people", "persons", "guests", "men", "women")
SOMEBODY = ("the person", "the person", "somebody", "someone", "the man", "the woman", "the guest")
CROWDS = "everyone|everybody|somebody|the people|all the people|someone".split("|")


def load_phrases(name: str = "*.txt") -> dict[str, list[str]]:
    """Phrases by task, of the files of that name."""
    found: dict[str, list[str]] = {}
    for path in sorted(PHRASES.glob(name)):
        section = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                section = line[3:].strip()
            elif line.strip() and not line.startswith("# "):
                found.setdefault(section, []).append(line.strip())
    return found


def choose(text: str, rng: random.Random) -> str:
    """Every [a|b] resolved, inner ones first."""
    while True:
        changed = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
        if changed == text:
            return text
        text = changed


def in_place(world, name: str, said: str, rng: random.Random) -> str:
    """ "in the kitchen", "by the desk"."""
    return f"{rng.choice(_IN['room' if name in world.rooms else 'place'])} {said}"


def ask_for(text: str, order: bool, rng: random.Random) -> str:
    """A phrase in a voice of its own: asked for politely or not, with asides, in lower case, without its full stop."""
    if order:
        prefix = rng.choice(_PREFIX) if rng.random() < 0.55 else ""
        text = prefix + text + (rng.choice(_SUFFIX) if rng.random() < 0.4 else "")
    roll = rng.random()
    if roll < 0.07:
        text = f"{rng.choice(_ASIDES)}{rng.choice(('. ', ', ', ', so ', '; ', ' - '))}{text}"
    elif roll < 0.11:
        text = f"{text}{rng.choice(('. ', ', ', '; '))}{rng.choice(_ASIDES)}"
    return finish(text, rng)


def finish(text: str, rng: random.Random) -> str:
    """Capitals and punctuation, or the lack of them."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    text = re.sub(r"([.,;:?!])(?:\s*[.,;:])+", r"\1", text)
    roll = rng.random()
    if roll < 0.12:
        return text.lower().rstrip(".!")
    if roll < 0.75:
        text = text[0].upper() + text[1:]
        if text[-1] not in ".!?":
            text += "."
    return text
