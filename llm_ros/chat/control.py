"""The few words that a robot must obey at once, whatever it and its model are doing.

In: what was said, and how the robot stands. Out: an intent, or None. Decided by the words alone, so it takes
microseconds. "Stop" is heard generously; the others only where they make sense: "go on" while it is paused, "yes" while
it asks. What is more than such a word ("stop at the kitchen", "wait ten seconds") is none.
"""

from __future__ import annotations

import re

from llm_ros.execution.outcome import Execution, PlanStatus

STOP, HUSH, PAUSE, RESUME, STATUS, YES, NO = "stop", "hush", "pause", "resume", "status", "yes", "no"

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_LEADING = frozenset("hey oh ok okay please robot no now and just well so wait can could you would will then".split())
_STOPPING = frozenset("stop halt freeze abort stopp".split())
_MORE_STOP = frozenset(
    "stop halt freeze it that this everything all now right at once immediately please moving driving robot there here "
    "doing what you are whatever the plan task job instantly move motion action no wait going working".split()
)
_STOP = re.compile(
    r"(emergency stop|do not move|don't move|cancel( (it|that|this|everything|all|the (plan|task|job)))?|"
    r"that is enough|that's enough|enough|quit( it| that)?|stand still|cut it out|knock it off)( now| please)*"
)
_HUSH = re.compile(
    r"(stop (talking|speaking|it with the talking)|be (quiet|silent)|shut up|quiet|silence|hush|shush|say no more)"
    r"( (now|please|robot))*"
)
_PAUSE = re.compile(
    r"(pause|wait|hold on|hold it|hang on|one moment|just a moment|stay there|stay here|take a break)"
    r"( (a|one) (moment|minute|second|sec|bit)| it| there| here| up| now| please| robot| for me)*"
)
_RESUME = re.compile(
    r"(go on|continue|resume|carry on|keep going|proceed|go ahead|move on|un ?pause|you can (go on|continue|move on))"
    r"( (now|please|with (it|that|the (plan|task|job))|again|robot|then|working))*"
)
_STATUS = re.compile(
    r"(and |so |hey |robot )*(what (are|re) you (doing|up to|working on)|status|report( your)? status|"
    r"what (are|is) your plans?|are you (busy|done|finished|still at it|nearly done|almost done)|what have you done|"
    r"how far are you|what step are you (at|on)|did you (finish|manage))"
    r"( (now|right now|just now|please|robot|still|yet|at the moment|today|then|already|so far|with (it|that)))*"
)
# What asks for the same only while there is something that it may be about.
_STATUS_OF_PLAN = re.compile(
    r"(and |so |hey |robot )*(how('s| is) it (going|coming along)|what('s| is) (next|happening|going on|up)|"
    r"how (long|much longer) (will (it|that|this|you) (take|need|be)|do you need|does it take)|which step|"
    r"where are you with (it|that)|did you do it|are you ready|what are you at)"
    r"( (now|right now|please|robot|still|yet|at the moment|then|already|so far|with (it|that)))*"
)
_YES = re.compile(
    r"(yes|yeah|yep|yup|sure|ok|okay|fine|go ahead|go on|do it|do so|please do|of course|certainly|confirm(ed)?|"
    r"alright|all right|absolutely|you may|proceed|right|correct|affirmative)"
    r"( (yes|please|go ahead|do it|do so|do|sure|you may|of course|robot|thanks|thank you|now|that is fine|fine))*"
)
_NO = re.compile(
    r"(no|nope|nah|don't|do not|better not|rather not|never|negative|not now|certainly not|by no means)"
    r"( (no|please|don't|do not|do it|do that|thanks|thank you|way|robot|not now|better not|leave it|wait))*"
)
_ALWAYS = frozenset(PlanStatus)
_BUSY = _ALWAYS - {PlanStatus.IDLE}
_INTENTS = (
    (HUSH, _HUSH, _ALWAYS),
    (NO, _NO, {PlanStatus.CONFIRM}),
    (YES, _YES, {PlanStatus.CONFIRM}),
    (RESUME, _RESUME, {PlanStatus.PAUSED}),
    (PAUSE, _PAUSE, _BUSY),
    (STATUS, _STATUS, _ALWAYS),
    (STATUS, _STATUS_OF_PLAN, _BUSY),
)


def control(text: str, view: Execution) -> str | None:
    """The intent of what was said while the robot stands as in `view`: one of the above, or None."""
    words = [word.replace("’", "'") for word in _WORDS.findall(text.lower())]
    said = " ".join(words)
    while len(words) > 1 and words[0] in _LEADING:
        words = words[1:]
    bare = " ".join(words)
    if words and (words[0] in _STOPPING and all(word in _MORE_STOP for word in words[1:]) or _STOP.fullmatch(bare)):
        return STOP
    for intent, pattern, when in _INTENTS:
        if view.status in when and (pattern.fullmatch(said) or pattern.fullmatch(bare)):
            return intent
    return None


__all__ = ["HUSH", "NO", "PAUSE", "RESUME", "STATUS", "STOP", "YES", "control"]
