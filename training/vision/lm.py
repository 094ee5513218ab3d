"""The frozen language model in PyTorch, with the weights of the GGUF file that it is shipped as, and its prompts.
Products are computed in bfloat16, what adds up along the layers in float32.

Only `llama` models: RMS norms, rotations of neighbouring values, grouped keys, SiLU gates. Gradients flow through to
the embeddings and to a LoRA, if there is one; no weight of the model itself changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from llm_core.chat.pictures import Pictures, take_pictures
from llm_core.chat.template import ChatTemplate
from llm_core.gguf import open_gguf
from llm_core.hub import resolve
from llm_core.tokenizer import Tokenizer
from llm_ros.sim.questions import Question

IGNORE = -100


class Lora(nn.Module):
    """What is added to the linear layers of a language model from layer `first` on: b · a, with a [rank, k] and
    b [n, rank]. Names are those of the weights with "_" for "."."""

    def __init__(self, lm: LanguageModel, rank: int, first: int = 0):
        super().__init__()
        self.rank, self.first = rank, first
        self.weights = [
            name
            for name, weight in lm.weights.items()
            if name.startswith("blk.") and weight.dim() == 2 and int(name.split(".")[1]) >= first
        ]
        for name in self.weights:
            n, k = lm.weights[name].shape
            self.register_parameter(_key(name, "a"), nn.Parameter(torch.randn(rank, k) / k**0.5))
            self.register_parameter(_key(name, "b"), nn.Parameter(torch.zeros(n, rank)))

    def pair(self, name: str) -> tuple[torch.Tensor, torch.Tensor] | None:
        """(a, b) of a weight, or None."""
        a = getattr(self, _key(name, "a"), None)
        return None if a is None else (a, getattr(self, _key(name, "b")))


def _key(name: str, part: str) -> str:
    return f"{name.removesuffix('.weight').replace('.', '_')}_lora_{part}"


class LanguageModel:
    """Embeddings in, logits out. `lora`: None, or what changes its linear layers."""

    lora: Lora | None = None

    def __init__(self, name: str):
        path = Path(resolve(name))
        with open_gguf(path) as file:
            m = file.metadata
            if m.architecture != "llama":
                raise SystemExit(f"{path}: {m.architecture!r} is no llama")
            self.n_layer = m.int("llama.block_count")
            self.n_head, self.n_kv = m.int("llama.attention.head_count"), m.int("llama.attention.head_count_kv")
            self.eps, self.base = m.float("llama.attention.layer_norm_rms_epsilon"), m.float("llama.rope.freq_base")
            self.weights = {t: torch.from_numpy(v.dequantize().copy()) for t, v in file.tensors.items()}
            self.tokenizer = Tokenizer.from_metadata(m)
            self.template = ChatTemplate.from_metadata(m, self.tokenizer)
        for name, weight in self.weights.items():
            if weight.dim() == 2 and not name.startswith("token_embd"):
                self.weights[name] = weight.to(torch.bfloat16)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of token ids."""
        return self.weights["token_embd.weight"][ids]

    def hidden(self, x: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x [n, rows, width], positions [n, rows], mask bool [n, rows, rows] → normed rows of the last layer."""
        w = self.weights
        width = x.shape[-1] // self.n_head
        turns = positions[..., None].float() * self.base ** (-torch.arange(0, width, 2).float() / width)
        cos, sin = turns.cos()[:, None], turns.sin()[:, None]
        for layer in range(self.n_layer):
            p = f"blk.{layer}."
            h = self._norm(x, w[p + "attn_norm.weight"])
            q, k, v = (
                self._linear(f"{p}attn_{part}.weight", h).view(*x.shape[:2], -1, width).transpose(1, 2)
                for part in "qkv"
            )
            q, k = rotated(q, cos, sin).to(v.dtype), rotated(k, cos, sin).to(v.dtype)
            k, v = (t.repeat_interleave(self.n_head // self.n_kv, 1) for t in (k, v))
            h = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
            x = x + self._linear(p + "attn_output.weight", h.transpose(1, 2).flatten(2))
            h = self._norm(x, w[p + "ffn_norm.weight"])
            gate, up = self._linear(p + "ffn_gate.weight", h), self._linear(p + "ffn_up.weight", h)
            x = x + self._linear(p + "ffn_down.weight", F.silu(gate) * up)
        return self._norm(x, w["output_norm.weight"])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of normed rows."""
        return F.linear(hidden, self.weights.get("output.weight", self.weights["token_embd.weight"]))

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, pair = self.weights[name], None if self.lora is None else self.lora.pair(name)
        x = x.to(weight.dtype)
        y = F.linear(x, weight)
        return y if pair is None else y + F.linear(F.linear(x, pair[0].to(x.dtype)), pair[1].to(x.dtype))

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Neighbouring values turned by their row's angles."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


@dataclass(frozen=True)
class Prompt:
    """Token ids before the picture, and of a question's turn after it; the answer's, which end the turn."""

    before: list[int]
    question: list[int]
    answer: list[int]


def prompt(lm: LanguageModel, question: Question) -> Prompt:
    """As the engine's chat writes a picture and a question."""
    content = [{"type": "image", "image": b""}, {"type": "text", "text": question.text}]
    messages, _ = take_pictures([{"role": "user", "content": content}])
    picture = Pictures("<image>", ((None,),))
    ids = list(lm.template.encode(messages, add_generation_prompt=True, pictures=picture))
    at = ids.index(-1)
    answer = lm.tokenizer.encode(question.answer, add_special=False, parse_special=False)
    end = lm.tokenizer.encode("<|im_end|>", add_special=False, parse_special=True)
    return Prompt(ids[:at], ids[at + 1 :], list(answer) + list(end))


@dataclass(frozen=True)
class Packed:
    """Sequences of one picture and several questions, each of which sees the picture and itself only. ids int64
    [n, rows] with -1 for the picture's rows; targets IGNORE where nothing is learned; shares of targets in the loss."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    shares: torch.Tensor


def pack(prompts: list[list[Prompt]], n_tokens: int) -> Packed:
    """prompts: for each picture those of its questions."""
    rows = []
    for several in prompts:
        before = several[0].before
        ids = before + [-1] * n_tokens
        block, positions, targets = [0] * len(ids), list(range(len(ids))), [IGNORE] * len(ids)
        shares = [0.0] * len(ids)
        prefix = len(ids)
        for i, p in enumerate(several):
            turn = p.question + p.answer
            ids = ids + turn[:-1]
            positions += range(prefix, prefix + len(turn) - 1)
            targets += [IGNORE] * (len(p.question) - 1) + p.answer
            block += [i + 1] * (len(turn) - 1)
            shares += [0.0] * (len(p.question) - 1) + [len(p.answer) ** -0.5] * len(p.answer)
        rows.append((ids, positions, block, targets, shares))
    length = max(len(r[0]) for r in rows)

    def tensor(which: int, fill: float) -> torch.Tensor:
        return torch.tensor([r[which] + [fill] * (length - len(r[0])) for r in rows])

    block = tensor(2, -1)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = (block[:, :, None] == block[:, None]) | (block[:, None] == 0)
    return Packed(tensor(0, 0), tensor(1, 0), causal & same, tensor(3, IGNORE), tensor(4, 0.0))


def answers(lm: LanguageModel, embeddings: torch.Tensor, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
    """(loss of the answers' tokens, which of them are right). A long answer counts as the root of its length."""
    seen = packed.ids < 0
    x = lm.embed(packed.ids.clamp(min=0))
    x = x.masked_scatter(seen[..., None], embeddings.to(x.dtype).flatten(0, 1))
    hidden = lm.hidden(x, packed.positions, packed.mask)
    learned = packed.targets != IGNORE
    logits, wanted = lm.logits(hidden[learned]), packed.targets[learned]
    shares = packed.shares[learned]
    losses = F.cross_entropy(logits, wanted, reduction="none")
    return (losses * shares).sum() / shares.sum(), logits.argmax(-1) == wanted
