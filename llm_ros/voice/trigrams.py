"""A trigram language model in the ARPA format, from sentences.

In: sentences (lists of words) and further words that may also occur. Out: the text of an ARPA file. Absolute
discounting with back-off (Ney, Essen, Kneser 1994): each seen n-gram gives away `DISCOUNT` of its count, which its
shorter history distributes; every further word gets the share of one rare word.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

DISCOUNT = 0.6
_NEVER = -99.0  # log10 of what is never predicted: the sentence's beginning


def arpa(sentences: Iterable[list[str]], further: Iterable[str] = ()) -> str:
    """The ARPA text. Raises ValueError if there is no sentence."""
    counts = [Counter(), Counter(), Counter()]
    for sentence in sentences:
        words = ["<s>", *sentence, "</s>"]
        for order in range(3):
            counts[order].update(zip(*(words[k:] for k in range(order + 1)), strict=False))
    if not counts[0]:
        raise ValueError("a language model needs at least one sentence")
    counts[0].pop(("<s>",))  # nothing predicts the beginning
    for word in further:
        counts[0].setdefault((word,), 0)
    total, rare = sum(counts[0].values()), 0.5
    unigrams = {gram: (count or rare) / (total + rare * len(counts[0])) for gram, count in counts[0].items()}
    scale = sum(unigrams.values())
    probability = [{gram: value / scale for gram, value in unigrams.items()}, {}, {}]
    backoff: list[dict] = [{}, {}]
    for order in (1, 2):
        followers = defaultdict(list)
        for gram in counts[order]:
            followers[gram[:-1]].append(gram)
        for history, grams in followers.items():
            seen = sum(counts[order][gram] for gram in grams)
            free = DISCOUNT * len(grams) / seen
            for gram in grams:
                lower = probability[order - 1].get(gram[1:], 0.0)
                probability[order][gram] = (counts[order][gram] - DISCOUNT) / seen + free * lower
            rest = 1.0 - sum(probability[order - 1].get(gram[1:], 0.0) for gram in grams)
            left = 1.0 - sum(probability[order][gram] for gram in grams)
            backoff[order - 1][history] = max(left, 1e-7) / max(rest, 1e-7)
    probability[0][("<s>",)] = 0.0
    return _text(probability, backoff)


def _text(probability: list[dict], backoff: list[dict]) -> str:
    lines = ["\\data\\", *(f"ngram {order + 1}={len(grams)}" for order, grams in enumerate(probability))]
    for order, grams in enumerate(probability):
        lines += ["", f"\\{order + 1}-grams:"]
        for gram in sorted(grams):
            line = f"{_log(grams[gram]):.4f}\t{' '.join(gram)}"
            if order < 2 and gram in backoff[order]:
                line += f"\t{_log(backoff[order][gram]):.4f}"
            lines.append(line)
    return "\n".join([*lines, "", "\\end\\", ""])


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else _NEVER
