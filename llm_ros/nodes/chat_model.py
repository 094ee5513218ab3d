"""The model of a conversation: an llm_node that counts tokens and answers, for `llm_ros.chat`.

In: an LLMClient. Out: what `chat.Model` asks for. Runs in the threads of jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from llm_core.errors import RequestError
from llm_ros.chat.context import TURN_TOKENS
from llm_ros.client import LLMClient

_MOST_COUNTS = 4096


class NodeModel:
    """max_tokens: most tokens of an answer; timeout: seconds to wait for the node."""

    def __init__(self, client: LLMClient, max_tokens: int, timeout: float):
        self._client, self._max_tokens, self._timeout = client, max_tokens, timeout
        self._counts: OrderedDict[str, int] = OrderedDict()

    def room(self, job) -> int:
        """Tokens of the model's context without the answer's. Raises CallError, RequestError."""
        self._client.wait_ready(self._timeout, cancelled=job.stopped)
        n_ctx = self._client.model_info().n_ctx
        room = n_ctx - self._max_tokens - TURN_TOKENS
        if room <= 0:
            raise RequestError(
                f"max_tokens = {self._max_tokens}: the context of {self._client.server} has only {n_ctx}"
            )
        return room

    def count(self, text: str) -> int:
        """Tokens of a text. Raises CallError."""
        if not text:
            return 0
        if text not in self._counts:
            self._counts[text] = len(self._client.tokenize(text))
            while len(self._counts) > _MOST_COUNTS:
                self._counts.popitem(last=False)
        return self._counts[text]

    def answer(self, messages: list[dict[str, str]], on_text: Callable[[str], None], job) -> str:
        """The model's turn, streamed. Raises CallError, Stopped."""
        call = self._client.chat(messages, max_tokens=self._max_tokens)
        job.calls(call)
        text = ""
        try:
            for piece in call.text():
                job.check()
                text += piece
                on_text(piece)
            job.check()
        finally:
            call.cancel()
            job.calls(None)
        return text


__all__ = ["NodeModel"]
