"""Text in and out: a tokenizer built from a GGUF file's `tokenizer.ggml.*` metadata, and a streaming decoder.

In: text (str or bytes) or token ids. Out: ids or text, the same ids as llama.cpp gives for the same file, except that
text can become a control token only when the caller asks for it (`parse_special=True`). Knows nothing of chat or
models.
"""

from llm_core.tokenizer.stream import StreamDecoder
from llm_core.tokenizer.vocab import TokenType, Vocab

__all__ = ["StreamDecoder", "TokenType", "Tokenizer", "Vocab"]


def __getattr__(name):
    # A vocabulary is checked without the `tokenizers` library, which takes a while to import.
    if name == "Tokenizer":
        from llm_core.tokenizer.tokenizer import Tokenizer

        return Tokenizer
    raise AttributeError(name)
