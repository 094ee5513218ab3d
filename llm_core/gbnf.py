"""GBNF, llama.cpp's grammar notation, in; the same language in llguidance's Lark dialect out.

llguidance splits text with a greedy lexer, GBNF has no lexer. So whatever is regular (reaches no rule that contains
itself) becomes one terminal, in which there is no lexer to be greedy: rules as a whole, and runs of regular items
between recursive ones. What remains is a boundary between a terminal and a recursive rule that could both take the
same character: there the longest match wins. Token references (`<think>`) are not supported. Errors are RequestErrors
with the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llm_core.errors import RequestError

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
_SPACE_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NEXT_BRANCH = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*\|")
_COUNTS = re.compile(r"\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}")
_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-", "^": "^"}
_TIMES = {"*": (0, None), "+": (1, None), "?": (0, 1)}
MAX_REPEAT = 10_000
MAX_DEPTH = 100


@dataclass
class _Leaf:
    """Fixed text or a character class, as a piece of Lark."""

    lark: str


@dataclass
class _Ref:
    name: str


@dataclass
class _Repeat:
    item: object
    low: int
    high: int | None


@dataclass
class _Sequence:
    items: list = field(default_factory=list)


@dataclass
class _Choice:
    branches: list


def gbnf_to_lark(text: str) -> str:
    """The Lark grammar (start rule `start`) of a GBNF grammar (start rule `root`); RequestError if malformed."""
    return _Writer(_Parser(text).rules()).lark()


class _Parser:
    """Recursive descent over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def rules(self) -> dict[str, object]:
        """Rule → its expression. Checks that every reference is defined and that there is a root."""
        found: dict[str, object] = {}
        used: dict[str, int] = {}
        self.used = used
        self._skip(_SPACE_LINES)
        while self.at < len(self.text):
            name = self._name("a rule's name")
            if name in found:
                self._fail(f"rule {name!r} is defined twice")
            self._skip(_SPACE)
            if not self._eat("::="):
                self._fail("'::=' wanted")
            self._skip(_SPACE_LINES)
            found[name] = self._choice(nested=False)
            if self.at < len(self.text) and self.text[self.at] not in "\r\n":
                self._fail(f"{self.text[self.at]!r} is not expected here")
            self._skip(_SPACE_LINES)
        for name, at in used.items():
            if name not in found:
                self._fail(f"rule {name!r} is not defined", at)
        if "root" not in found:
            raise RequestError("gbnf grammar: there is no rule 'root'")
        return found

    def _choice(self, nested: bool) -> object:
        branches = [self._sequence(nested)]
        while _NEXT_BRANCH.match(self.text, self.at):  # it may begin on the next line, also outside of parentheses
            self._skip(_NEXT_BRANCH)
            self._skip(_SPACE_LINES)
            branches.append(self._sequence(nested))
        return branches[0] if len(branches) == 1 else _Choice(branches)

    def _sequence(self, nested: bool) -> _Sequence:
        space = _SPACE_LINES if nested else _SPACE
        items = []
        while (item := self._item()) is not None:
            self._skip(space)
            item = self._repeats(item)
            self._skip(space)
            items.append(item)
        return _Sequence(items)

    def _item(self) -> object | None:
        c = self.text[self.at : self.at + 1]
        if c == '"':
            return self._literal()
        if c == "[":
            return self._class()
        if c == "(":
            return self._group()
        if c == ".":
            self.at += 1
            return _Leaf("/(?s:.)/")
        if c in ("<", "!"):
            self._fail("token references are not supported")
        if not _NAME.match(self.text, self.at):
            return None
        start = self.at
        name = self._name("a name")
        self.used.setdefault(name, start)
        return _Ref(name)

    def _group(self) -> object:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"parentheses nest deeper than {MAX_DEPTH}")
        opened = self.at
        self.at += 1
        self._skip(_SPACE_LINES)
        inside = self._choice(nested=True)
        self._skip(_SPACE_LINES)
        if not self._eat(")"):
            self._fail("this parenthesis is not closed", opened)
        self.depth -= 1
        return inside

    def _repeats(self, item: object) -> object:
        for _ in range(MAX_DEPTH):
            c = self.text[self.at : self.at + 1]
            if c in _TIMES and c:
                self.at += 1
                item = _Repeat(item, *_TIMES[c])
            elif c == "{":
                counts = _COUNTS.match(self.text, self.at)
                if counts is None:
                    self._fail("a count like {2}, {2,} or {2,5} wanted")
                low = int(counts[1])
                high = low if counts[2] is None else int(counts[3]) if counts[3] else None
                if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
                    self._fail(f"{counts[0]} is not a count: at most {MAX_REPEAT}, the smaller number first")
                self.at = counts.end()
                item = _Repeat(item, low, high)
            else:
                return item
        self._fail(f"more than {MAX_DEPTH} repetitions of one item")

    def _literal(self) -> _Leaf:
        opened = self.at
        self.at += 1
        regex = ""
        while not self._eat('"'):
            regex += _regex_char(self._char(opened, "text"))
        return _Leaf(f"/{regex}/" if regex else '""')

    def _class(self) -> _Leaf:
        opened = self.at
        self.at += 1
        regex = "[^" if self._eat("^") else "["
        empty = True
        while not self._eat("]"):
            low = high = self._char(opened, "character class")
            if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                high = self._char(opened, "character class")
            if high < low:
                self._fail(f"the range from {low!r} to {high!r} is empty")
            regex += _regex_char(low) if low == high else f"{_regex_char(low)}-{_regex_char(high)}"
            empty = False
        if empty:
            self._fail("this character class is empty", opened)
        return _Leaf(f"/{regex}]/")

    def _char(self, opened: int, what: str) -> str:
        c = self.text[self.at : self.at + 1]
        if c in ("", "\n", "\r"):
            self._fail(f"this {what} is not closed", opened)
        self.at += 1
        if c != "\\":
            return c
        kind = self.text[self.at : self.at + 1]
        if kind in _ESCAPES and kind:
            self.at += 1
            return _ESCAPES[kind]
        digits = self.text[self.at + 1 : self.at + 1 + _HEX.get(kind, 0)]
        if not digits or len(digits) < _HEX[kind] or re.fullmatch("[0-9A-Fa-f]+", digits) is None:
            self._fail(f"\\{kind} is not an escape")
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            self._fail(f"\\{kind}{digits} is not a character")
        self.at += 1 + len(digits)
        return chr(code)

    def _name(self, what: str) -> str:
        name = _NAME.match(self.text, self.at)
        if name is None:
            self._fail(f"{what} wanted")
        self.at = name.end()
        return name[0]

    def _eat(self, text: str) -> bool:
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def _skip(self, pattern: re.Pattern) -> None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _fail(self, message: str, at: int | None = None) -> None:
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        raise RequestError(f"gbnf grammar, line {line}: {message}")


def _regex_char(c: str) -> str:
    return c if c.isascii() and c.isalnum() else f"\\x{{{ord(c):x}}}"


class _Writer:
    """Writes the rules as Lark: capital names for terminals (regular rules), small ones for the others."""

    def __init__(self, rules: dict[str, object]) -> None:
        self._rules = rules
        self._regular = self._find_regular()
        self._names = {name: f"{'T' if name in self._regular else 'r'}{i}" for i, name in enumerate(rules)}
        self._runs: dict[str, str] = {}  # Lark of a run of regular items → its terminal

    def lark(self) -> str:
        """The whole grammar."""
        lines = []
        for name, rule in self._rules.items():
            terminal = name in self._regular
            lines.append(f"{self._names[name]}: {self._terminal(rule) if terminal else self._rule(rule)}")
        lines += [f"{name}: {lark}" for lark, name in self._runs.items()]
        return "\n".join([f"start: {self._names['root']}", *lines]) + "\n"

    def _find_regular(self) -> set[str]:
        open_uses = {name: set(_references(rule)) for name, rule in self._rules.items()}
        users: dict[str, list[str]] = {name: [] for name in open_uses}
        for name, used in open_uses.items():
            for other in used:
                users[other].append(name)
        regular: set[str] = set()
        found = [name for name, used in open_uses.items() if not used]
        while found:  # a rule is regular when all rules that it uses are known to be
            name = found.pop()
            regular.add(name)
            for user in users[name]:
                open_uses[user].discard(name)
                if not open_uses[user]:
                    found.append(user)
        return regular

    def _is_regular(self, node: object) -> bool:
        return all(name in self._regular for name in _references(node))

    def _terminal(self, node: object) -> str:
        if isinstance(node, _Leaf):
            return node.lark
        if isinstance(node, _Ref):
            return self._names[node.name]
        if isinstance(node, _Repeat):
            return f"({self._terminal(node.item)}){_counts(node)}"
        if isinstance(node, _Choice):
            return "(" + " | ".join(self._terminal(branch) for branch in node.branches) + ")"
        return " ".join(map(self._terminal, node.items)) or '""'

    def _rule(self, node: object) -> str:
        if self._is_regular(node):
            return self._run([node])
        if isinstance(node, _Ref):
            return self._names[node.name]
        if isinstance(node, _Repeat):
            return f"({self._rule(node.item)}){_counts(node)}"
        if isinstance(node, _Choice):
            return "(" + " | ".join(map(self._rule, node.branches)) + ")"
        parts: list[str] = []
        run: list[object] = []
        for item in [*node.items, None]:
            if item is not None and self._is_regular(item):
                run.append(item)
                continue
            if run:
                parts.append(self._run(run))
                run = []
            if item is not None:
                parts.append(self._rule(item))
        return " ".join(parts)

    def _run(self, items: list) -> str:
        if len(items) == 1 and isinstance(items[0], _Ref):
            return self._names[items[0].name]
        lark = self._terminal(_Sequence(items))
        return self._runs.setdefault(lark, f"X{len(self._runs)}")


def _references(node: object) -> list[str]:
    if isinstance(node, _Ref):
        return [node.name]
    if isinstance(node, _Repeat):
        return _references(node.item)
    inside = node.branches if isinstance(node, _Choice) else node.items if isinstance(node, _Sequence) else []
    return [name for part in inside for name in _references(part)]


def _counts(node: _Repeat) -> str:
    for sign, times in _TIMES.items():
        if times == (node.low, node.high):
            return sign
    return f"{{{node.low},{'' if node.high is None else node.high}}}"
