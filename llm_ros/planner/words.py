"""English as tables: closed-class words, number words, inflection, and everyday synonyms of household nouns.

In: lower-case words. Out: facts about them. Knows no world and no skill. Data only, and the three functions that turn a
word into its singular, plural or verb forms.
"""

from __future__ import annotations

DETERMINERS = frozenset(
    "a an the some any this that these those my your his her their its our another every each all".split()
)
PREPOSITIONS = frozenset(
    "to from in on at into onto inside within near by beside besides next with for of about under underneath "
    "behind off out "
    "through towards toward after before above over around between against along across beneath upon until till".split()
)
DESTINATION = frozenset("to into onto towards toward until till".split())
SOURCE = frozenset("from off out".split())
# "next to the desk" is one preposition; the key is its words, the value the preposition it counts as.
LONG_PREPOSITIONS = {
    ("next", "to"): "at",
    ("close", "to"): "at",
    ("in", "front", "of"): "at",
    ("out", "of"): "from",
    ("on", "top", "of"): "on",
    ("inside", "of"): "in",
    ("off", "of"): "from",
    ("over", "to"): "to",
    ("back", "to"): "to",
    ("up", "to"): "to",
    ("down", "to"): "to",
    ("through", "to"): "to",
    ("over", "at"): "at",
    ("over", "in"): "in",
    ("away", "from"): "from",
    ("over", "by"): "at",
    ("to", "the", "left", "of"): "at",
    ("to", "the", "right", "of"): "at",
    ("out", "from"): "from",
    ("along", "to"): "to",
    ("all", "the", "way", "to"): "to",
    ("as", "far", "as"): "to",
    ("until", "you", "reach"): "to",
    ("until", "you", "get", "to"): "to",
    ("until", "you", "are", "in"): "to",
    ("until", "you", "are", "at"): "to",
    ("until", "you", "arrive", "at"): "to",
    ("until", "you", "come", "to"): "to",
    ("on", "to"): "to",
    ("in", "to"): "to",
}
PRONOUNS_THING = frozenset("it this that one these those".split())
PRONOUNS_PERSON = frozenset("him her he she them they".split())
SELF = frozenset("me myself us".split())
PERSON_NOUNS = frozenset(
    "person someone somebody anyone anybody everyone everybody whoever man woman guy lady gentleman boy girl "
    "individual human guest visitor child kid "
    "fellow bloke chap dude lad customer colleague coworker student teacher employee stranger".split()
)
PEOPLE_NOUNS = frozenset(
    "people persons men women guys ladies boys girls individuals humans guests visitors children kids "
    "folks folk blokes chaps dudes lads customers colleagues coworkers students teachers employees strangers".split()
)
# Before the name of somebody, known or not.
TITLES = frozenset(
    "mr mrs ms miss dr doctor professor captain sir madam lord lady nurse chef officer inspector sergeant uncle aunt "
    "colonel major general reverend judge".split()
)
# Somebody's somebody: who that is only a world can say, by a synonym.
KIN = frozenset(
    "mother mom mum mommy mummy mama father dad daddy papa grandma grandmother granny nana grandpa grandfather "
    "granddad "
    "sister brother aunt auntie uncle cousin niece nephew wife husband son daughter boyfriend girlfriend fiance "
    "partner "
    "parents grandparents grandson granddaughter roommate flatmate neighbour neighbor".split()
)
# People by what they do: as good a description as any.
ROLES = frozenset(
    "doctor nurse chef cook waiter waitress manager boss cleaner gardener driver plumber electrician guard "
    "receptionist "
    "secretary librarian mechanic professor scientist engineer technician assistant owner patient tenant janitor "
    "caretaker barista baker barber butcher carpenter welder pilot postman mailman courier policeman firefighter "
    "principal headmaster tutor trainee apprentice intern pupil player coach actor singer musician director".split()
)
THING_NOUNS = frozenset("thing things something anything object objects item items stuff everything".split())
OPENABLE = frozenset(
    "fridge refrigerator freezer cupboard cabinet drawer locker wardrobe closet chest box crate safe oven microwave "
    "dishwasher washer dryer cooler case bin trunk dresser sideboard cage hatch hamper basket window gate door parcel "
    "package letter envelope bottle jar tin can bag book umbrella suitcase backpack".split()
)
HERE = frozenset("here there".split())
# Words that carry no task: politeness, fillers, auxiliaries before the verb.
FILLERS = frozenset(
    "please kindly robot hey hi ok okay so just now also finally lastly firstly first secondly second next "
    "thirdly then "
    "afterwards afterward quickly carefully gently immediately subsequently well alright right straight simply "
    "maybe perhaps actually "
    "today again back thanks thank you directly over along up ahead away once quick could can would will might "
    "may must should shall "
    "to and but".split()
)
NUMBERS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "ninety": 90,
    "half": 0.5,
    "a": 1,
    "an": 1,
    "couple": 2,
    "few": 3,
    "both": 2,
}

# Names for the same thing in a home; a name of the world that is in a row can be said with the other words of the row.
SYNONYMS = tuple(
    tuple(row.split("|"))
    for row in (
        "living room|lounge|sitting room|parlor|parlour|family room",
        "bathroom|restroom|washroom|toilet|lavatory|bath",
        "entrance|entry|entryway|hallway|hall|foyer|vestibule|lobby|front hall|corridor",
        "study|office|home office|workroom|den",
        "garden room|conservatory|sunroom|winter garden",
        "pantry|larder|storeroom",
        "kitchen|kitchenette",
        "garage|carport",
        "bedroom|sleeping room",
        "laundry room|laundry|utility room",
        "dining room|dining area",
        "gym|fitness room|gymnasium",
        "couch|sofa|settee",
        "refrigerator|fridge|icebox",
        "trash bin|trash can|trashbin|garbage bin|garbage can|rubbish bin|waste "
        "basket|wastebasket|waste bin|dustbin|bin|trash|garbage|waste paper basket",
        "bookshelf|bookcase|book shelf",
        "cabinet|cupboard",
        "sink|washbasin|basin",
        "nightstand|bedside table|night table|night stand",
        "wardrobe|closet",
        "tv stand|television stand|tv table",
        "tv|television|tv set",
        "coat rack|coat stand|coatrack|coat hanger|hat stand",
        "armchair|easy chair|recliner|lounge chair",
        "desk|writing desk|work desk",
        "storage rack|storage shelf",
        "dining table|dinner table",
        "counter|countertop|worktop|kitchen counter",
        "oven|stove|cooker",
        "side table|end table",
        "coffee table|couch table",
        "dishwasher|dish washer",
        "microwave|microwave oven",
        "washing machine|washer",
        "potted plant|plant|plant pot",
        "workbench|work bench|bench",
        "bed|bunk",
        "drawer|drawers|dresser",
        "watering can|sprinkling can",
        "mug|coffee mug",
        "drink|beverage",
        "cola|coke|coca cola",
        "soda|soft drink|pop",
        "cookie|biscuit",
        "crisps|potato chips|chips",
        "cell phone|mobile phone|phone|smartphone|mobile",
        "remote|remote control",
        "glasses|spectacles|eyeglasses",
        "cup|teacup",
        "sponge|scrubber",
        "notebook|notepad|jotter",
        "tin|can",
        "sweets|candy|candies",
        "toy|plaything",
        "tools|tool|utensils",
        "flashlight|torch",
        "jumper|sweater|pullover",
        "t shirt|tee shirt|tshirt|tee",
        "coat|overcoat",
        "trousers|pants",
        "gray|grey",
        "front door|main door|entrance door",
        "back door|rear door",
    )
)
# Adjectives that tell one place from another of its kind.
SORTING = frozenset(
    "big small large little long short high low tall round square wide narrow whole main nice clean dirty full open "
    "closed locked near far wrong right left front back rear middle top bottom upper correct own usual nearby glass "
    "metal wood white plastic steel stone".split()
)
COLORS = frozenset(
    "red green blue yellow white black gray grey orange purple pink brown silver golden beige violet".split()
)
_IRREGULAR_PLURALS = {
    "knives": "knife",
    "shelves": "shelf",
    "bookshelves": "bookshelf",
    "loaves": "loaf",
    "leaves": "leaf",
    "wolves": "wolf",
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "scarves": "scarf",
    "wives": "wife",
    "calves": "calf",
    "thieves": "thief",
    "cookies": "cookie",
    "movies": "movie",
    "brownies": "brownie",
    "veggies": "veggie",
    "hoodies": "hoodie",
    "shoes": "shoe",
    "clothes": "clothes",
    "glasses": "glass",
    "dishes": "dish",
    "pies": "pie",
    "ties": "tie",
    "smoothies": "smoothie",
    "selfies": "selfie",
}
_NO_SINGULAR = frozenset(
    "is this his its us as was has does yes plus gas bus chess news scissors always tennis lens bias canvas "
    "atlas cactus".split()
)


def singular(word: str) -> str:
    """The singular of a noun (a guess from its ending); words that are no plural come back unchanged."""
    if word in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _NO_SINGULAR:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes", "oes")):
        return word[:-2]
    return word[:-1]


def plural(word: str) -> str:
    """The plural of a noun (a guess from its ending)."""
    for many, one in _IRREGULAR_PLURALS.items():
        if one == word:
            return many
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh", "z")) else "s")


_IRREGULAR_VERBS = {
    "get": "got gotten getting",
    "take": "took taken",
    "bring": "brought",
    "give": "gave given",
    "find": "found",
    "tell": "told",
    "say": "said",
    "lead": "led",
    "meet": "met",
    "go": "went gone",
    "put": "put putting",
    "set": "set setting",
    "leave": "left",
    "let": "let",
    "see": "saw seen",
    "come": "came",
    "run": "ran running",
    "show": "shown",
    "shut": "shut shutting",
    "speak": "spoke",
    "know": "known",
    "drop": "dropping dropped",
    "grab": "grabbing grabbed",
    "stop": "stopping stopped",
    "hold": "held",
    "lay": "laid",
    "seek": "sought",
    "stand": "stood",
    "drive": "drove driving",
    "make": "made making",
    "hit": "hitting",
    "cut": "cutting",
    "sit": "sitting",
    "swim": "swimming",
    "tag": "tagging",
    "pop": "popping",
    "chat": "chatting",
    "scan": "scanning",
    "spot": "spotting",
    "nip": "nipping",
    "plug": "plugging",
    "mop": "mopping",
    "shop": "shopping",
    "step": "stepping",
    "identify": "identifies identified",
    "carry": "carries carried",
    "hurry": "hurries",
    "reply": "replies replied",
    "notify": "notifies",
    "tidy": "tidies tidied",
    "dry": "dries dried",
    "fly": "flies",
    "convey": "conveyed",
    "stab": "stabbing",
    "quiz": "quizzing",
    "transfer": "transferring",
}


def verb_forms(verb: str) -> set[str]:
    """Base, -s, -ing and past forms of a verb."""
    stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
    forms = {verb, verb + ("es" if verb.endswith(("s", "x", "ch", "sh", "z", "o")) else "s"), stem + "ing", stem + "ed"}
    return forms | set(_IRREGULAR_VERBS.get(verb, "").split())
