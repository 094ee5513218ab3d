"""Conversations to tokens: the model's own chat template, rendered in a sandbox, with message text kept plain text.

In: messages (dicts with a role and content), tools. Out: the prompt as text or as token ids. Knows templates and
tokenizers, nothing of models or engines.
"""

from llm_core.chat.sandbox import Sandbox, TemplateRefused
from llm_core.chat.template import ChatTemplate

__all__ = ["ChatTemplate", "Sandbox", "TemplateRefused"]
