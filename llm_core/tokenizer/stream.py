"""Token ids in, text out, one at a time: whole characters only.

`push(id)` returns the text that is certain so far; bytes that may still become a character wait; bytes that never can
are U+FFFD. All pushes and one `flush()` together equal `Tokenizer.decode` of the same ids. One decoder serves one
generation.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable


class StreamDecoder:
    """`shown(id) -> bytes` gives a token's bytes (b"" for hidden ones); `strip_space` drops the first space, if any."""

    def __init__(self, shown: Callable[[int], bytes], strip_space: bool = False):
        self._shown = shown
        self._strip_space = strip_space
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def push(self, token: int) -> str:
        """Text that this token completes (often "" inside an emoji); RequestError for an id past the vocabulary."""
        data = self._shown(token)
        if data and self._strip_space:
            data = data[1:] if data[:1] == b" " else data
            self._strip_space = False
        return self._decode(data)

    def flush(self) -> str:
        """What is left at the end: U+FFFD for an unfinished character, else "". The decoder can be used again."""
        return self._decode(b"", True)
