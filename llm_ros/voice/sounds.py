"""How English words roughly sound: letters to phones by rule, and how different two sequences of phones are.

In: words. Out: phones as the CMU pronouncing dictionary names them (ARPAbet without stress). For names that no
dictionary has, and to compare what was heard with what there is; the rules know no exceptions and need not.
"""

from __future__ import annotations

import re
from functools import cache

# Letters -> phones; the first rule that matches at a position counts. `$`: the word's end, `(?=…)`: what follows.
_RULES = [
    (re.compile(pattern), tuple(phones.split()))
    for pattern, phones in (
        line.split(":")
        for line in """
tch:CH
ch:CH
sch:S K
sh:SH
ph:F
th:TH
wh:W
^kn:N
^wr:R
ck:K
qu:K W
ng$:NG
ng(?=s$):NG
gh(?=[aeiou]):G
gh:
dge:JH
g(?=[eiy]):JH
gg:G
g:G
c(?=[eiy]):S
cc:K
c:K
x:K S
ss:S
s:S
zz:Z
z:Z
j:JH
tion:SH AH N
sion:ZH AH N
tt:T
t:T
dd:D
d:D
pp:P
p:P
bb:B
b:B
ff:F
f:F
v:V
ll:L
l:L
mm:M
m:M
nn:N
n:N
rr:R
r:R
k:K
q:K
w(?=[aeiouy]):W
w:
h:HH
y(?=[aeiou]):Y
y$:IY
y:IH
ee:IY
ea:IY
oo:UW
ou:AW
ow:OW
oa:OW
oi:OY
oy:OY
ai:EY
ay:EY
au:AO
aw:AO
ew:UW
ie$:IY
ei:EY
er:ER
ir:ER
ur:ER
ar:AA R
or:AO R
a(?=[bcdfgklmnpstvz]e$):EY
a$:AH
a:AE
e(?=$):
e:EH
i(?=[bcdfgklmnpstvz]e$):AY
i$:IY
i:IH
o(?=[bcdfgklmnpstvz]e$):OW
o$:OW
o:AA
u(?=[bcdfgklmnpstvz]e$):UW
u$:UW
u:AH
""".split("\n")
        if line
    )
]
_VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
# Consonants that are easily taken for each other.
_LIKE = [
    set(group.split())
    for group in (
        "P B M V F",
        "T D TH DH N",
        "K G NG CH JH",
        "S Z SH ZH CH JH TH F",
        "L R W Y",
        "M N NG",
        "P T K",
        "B D G",
    )
]
_FAINT = frozenset("HH R AH T D".split())  # what is easily missed, or heard where it is not


@cache
def phones(word: str) -> tuple[str, ...]:
    """The phones of a word of letters and apostrophes, by rule; a word without a vowel is spelt with one after it."""
    text = re.sub("[^a-z]", "", word.lower())
    found: list[str] = []
    position = 0
    while position < len(text):
        for pattern, sounds in _RULES:
            match = pattern.match(text, position)
            if match:
                found += sounds
                position = match.end()
                break
        else:  # no letter is without a rule
            raise AssertionError(text[position])
    if text.endswith("e") and not _VOWELS & set(found):
        found.append("IY")
    return tuple(found) if _VOWELS & set(found) else (*found, "AH")


def distance(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """How differently two sequences of phones sound: 0 for the same, about 1 for each phone without a like one."""
    row = [0.0]
    for phone in b:
        row.append(row[-1] + _gap(phone))
    for mine in a:
        before, row = row, [row[0] + _gap(mine)]
        for j, other in enumerate(b, 1):
            row.append(min(before[j] + _gap(mine), row[j - 1] + _gap(other), before[j - 1] + _change(mine, other)))
    return row[-1]


def _gap(phone: str) -> float:
    return 0.5 if phone in _FAINT else 0.9


def _change(a: str, b: str) -> float:
    if a == b:
        return 0.0
    if a in _VOWELS and b in _VOWELS:
        return 0.4
    return 0.5 if any(a in group and b in group for group in _LIKE) else 1.0
