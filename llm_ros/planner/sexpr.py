"""S-expressions with line numbers, as PDDL writes them: lists and words, read without recursion and within bounds."""

from __future__ import annotations

import re

MAX_DEPTH = 60
MAX_WORDS = 100_000
_TOKEN = re.compile(r";[^\n]*|[()]|[^\s();]+|\n")


class PddlError(ValueError):
    """A PDDL file that cannot be used; the message is `file:line: what is wrong`."""


class Word(str):
    """A word in small letters (PDDL knows no others), with its line and as it was written."""

    line: int
    written: str


class Form(list):
    """A list of Words and Forms, with the line where it begins."""

    line: int

    @property
    def head(self) -> str:
        """The first word, or ""."""
        return self[0] if self and isinstance(self[0], Word) else ""


def parse_forms(text: str, file: str) -> Form:
    """All forms of a text as one Form. Raises PddlError."""
    top, line, count = Form(), 1, 0
    top.line = 1
    stack = [top]
    for token in _TOKEN.findall(text):
        if token == "\n":
            line += 1
        elif token == "(":
            form = Form()
            form.line = line
            stack[-1].append(form)
            stack.append(form)
            if len(stack) > MAX_DEPTH:
                raise PddlError(f"{file}:{line}: nested deeper than {MAX_DEPTH} levels")
        elif token == ")":
            if len(stack) == 1:
                raise PddlError(f"{file}:{line}: ')' without '('")
            stack.pop()
        elif not token.startswith(";"):
            word = Word(token.lower())
            word.line, word.written = line, token
            stack[-1].append(word)
            count += 1
            if count > MAX_WORDS:
                raise PddlError(f"{file}:{line}: more than {MAX_WORDS} words")
    if len(stack) > 1:
        raise PddlError(f"{file}:{stack[-1].line}: '(' without ')'")
    return top
