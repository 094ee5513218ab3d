"""A question about a picture: what is asked of the model, which answers it may give, and how sure it was.

In: the fields that every asking interface has. Out: messages and sampling for llm_node, and of its Response a
CameraAnswer. Where an answer is one of `choices`, a regular expression admits nothing else: each choice, also with a
capital, also behind a space, whichever the model likes. Knows no node.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from llm_core.errors import RequestError
from llm_ros.camera import Frame
from llm_ros.msg import CameraAnswer, Response
from llm_ros.params import AskParams, CameraParams

MAX_CHOICES = 1000
LIKELIEST = 50  # tokens in each place that are looked at for other choices


@dataclass(frozen=True)
class Question:
    """A checked question. max_frame_age: seconds."""

    text: str
    choices: tuple[str, ...]
    max_tokens: int
    max_frame_age: float
    system: str = ""

    @classmethod
    def from_ros(cls, message, ask: AskParams, camera: CameraParams) -> Question:
        """Of a request or goal with the fields of srv/Ask. Raises RequestError for what cannot be asked."""
        if not message.question.strip():
            raise RequestError("question is empty: at least one character is needed")
        choices = tuple(message.choices)
        if len(choices) > MAX_CHOICES:
            raise RequestError(f"choices are {len(choices)}, at most {MAX_CHOICES} are taken")
        folded = {}
        for i, choice in enumerate(choices):
            if not choice.strip() or choice != choice.strip():
                raise RequestError(f"choices[{i}] is {choice!r}: a text without spaces around it wanted")
            other = folded.setdefault(choice.casefold(), choice)
            if other is not choice:
                raise RequestError(f"choices has {other!r} and {choice!r}: the same but for the letters' case")
        max_tokens = ask.max_tokens if message.max_tokens == -1 else message.max_tokens
        if not 1 <= max_tokens <= 1 << 20:
            raise RequestError(f"max_tokens = {max_tokens}: out of range [1, {1 << 20}]")
        age = camera.max_frame_age if message.max_frame_age == -1.0 else message.max_frame_age
        if not 0.0 < age <= 3600.0:
            raise RequestError(f"max_frame_age = {age:g}: out of range (0, 3600] seconds")
        return cls(message.question, choices, max_tokens, age, ask.system)

    @property
    def messages(self) -> list[dict]:
        """What is asked; the picture goes before the question."""
        told = [{"role": "system", "content": self.system}] if self.system else []
        return [*told, {"role": "user", "content": self.text}]

    @property
    def sampling(self) -> dict:
        """Fields of SamplingConfig: the likeliest answer, with probabilities."""
        fields = dict(temp=0.0, max_tokens=self.max_tokens, n_probs=0)
        if self.choices:
            forms = sorted(form for choice in self.choices for form in _forms(choice))
            fields |= dict(grammar_regex=" ?(" + "|".join(map(re.escape, forms)) + ")", n_probs=LIKELIEST)
        return fields

    def answer_to_ros(self, response: Response, frame: Frame, duration: float) -> CameraAnswer:
        """What became of it. Raises RequestError if the answer was cut off within a choice."""
        text = response.text.strip()
        if self.choices:
            text = next((choice for choice in self.choices if choice.casefold() == text.casefold()), None)
            if text is None:
                raise RequestError(f"max_tokens = {self.max_tokens}: {response.text!r} is no whole choice")
        return CameraAnswer(
            question=self.text,
            answer=text,
            confidence=confidence(response.probs, self.choices, text),
            frame_stamp=frame.stamp,
            frame_id=frame.frame_id,
            frame_age=frame.age,
            duration=duration,
            usage=response.usage,
        )


def confidence(probs: Sequence, choices: Sequence[str], answer: str) -> float:
    """0 … 1 of a response's TokenProbArrays. Without choices: the geometric mean of its tokens' probabilities.

    With choices: the probability that the model gives `answer` among all that begin as it went on, place by place; how
    likely it was to end there (a choice may begin another one) is not known.
    """
    if not choices:
        return math.exp(sum(item.chosen.logprob for item in probs) / len(probs)) if probs else 0.0
    everything = [" " * space + form for choice in choices for form in _forms(choice) for space in (0, 1)]
    wanted = [" " * space + form for form in _forms(answer) for space in (0, 1)]
    result, text = 1.0, ""
    for item in probs:
        tokens = {prob.token: prob for prob in (*item.data, item.chosen)}
        mine = others = 0.0
        for prob in tokens.values():
            piece = prob.token_text.rstrip("\ufffd")  # bytes of a character that is not whole yet
            begins = text + piece
            if not piece and prob.token != item.chosen.token:
                continue
            if any(form.startswith(begins) for form in wanted):
                mine += math.exp(prob.logprob)
            elif any(form.startswith(begins) for form in everything):
                others += math.exp(prob.logprob)
        result *= mine / (mine + others) if mine else 1.0
        text += item.chosen.token_text
    return result


def _forms(choice: str) -> set[str]:
    return {choice, choice[0].upper() + choice[1:]}
