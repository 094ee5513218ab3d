"""A Llama in PyTorch with frozen weights out of a GGUF file and trainable LoRA matrices beside every linear map.

The weights are those that the engine runs: dequantized, q and k in the file's order (pairs of neighbours rotate
together). So the adapter fits the quantized model, and its matrices have the file's names and shapes. It computes in
bfloat16 where the processor multiplies it (AVX-512 BF16, AMX), else in float32, which is then nearly twice as fast.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from llm_core.gguf import GGUFWriter, open_gguf  # noqa: E402
from llm_core.gguf.fingerprint import BASE, fingerprint  # noqa: E402

LINEARS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


class Net(torch.nn.Module):
    """rank and alpha: of the LoRA; first: the layer it begins with, below which nothing is computed backwards.

    forward returns the hidden states, `logits` the rest.
    """

    def __init__(self, path: str, rank: int, alpha: float, seed: int = 0, first: int = 0):
        super().__init__()
        self.dtype = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
        file = open_gguf(path)
        meta = file.metadata
        self.fingerprint, self.base_name = fingerprint(file), meta.get("general.name", "")
        self.n_layers, self.n_embd = meta["llama.block_count"], meta["llama.embedding_length"]
        if not 0 <= first < self.n_layers:
            raise ValueError(f"first must be a layer below {self.n_layers}, got {first}")
        self.first = first
        self.n_heads, self.n_kv = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
        self.eps = float(meta["llama.attention.layer_norm_rms_epsilon"])
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        self.head = self.n_embd // self.n_heads

        def weight(name: str) -> torch.Tensor:
            tensor = file.tensor(name)
            return torch.from_numpy(np.array(tensor.dequantize(), dtype=np.float32).reshape(tensor.shape))

        self.base = {"embd": weight("token_embd.weight").to(self.dtype), "norm": weight("output_norm.weight")}
        self.lora = torch.nn.ParameterDict()
        generator = torch.Generator().manual_seed(seed)
        for layer in range(self.n_layers):
            for norm in ("attn_norm", "ffn_norm"):
                self.base[f"{layer}.{norm}"] = weight(f"blk.{layer}.{norm}.weight")
            for name in LINEARS:
                values = weight(f"blk.{layer}.{name}.weight").to(self.dtype)
                self.base[f"{layer}.{name}"] = values
                if layer < first:
                    continue
                n, k = values.shape
                key = f"blk_{layer}_{name}"
                self.lora[key + "_a"] = torch.nn.Parameter(torch.randn(rank, k, generator=generator) / math.sqrt(k))
                self.lora[key + "_b"] = torch.nn.Parameter(torch.zeros(n, rank))
        base = float(meta.get("llama.rope.freq_base", 10000.0))
        self.freqs = 1.0 / base ** (torch.arange(0, self.head, 2).float() / self.head)

    def _linear(self, x: torch.Tensor, layer: int, name: str) -> torch.Tensor:
        """Rows [n, k] times a weight with its LoRA."""
        y = F.linear(x, self.base[f"{layer}.{name}"])
        if layer < self.first:
            return y
        a, b = (self.lora[f"blk_{layer}_{name}_{part}"].to(self.dtype) for part in ("a", "b"))
        return torch.addmm(y, F.linear(x, a), b.t(), alpha=self.scale)

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps) * self.base[name]).to(self.dtype)

    def _rope(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    def forward(self, prefix: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, time, n_embd] of ids [batch, time] that all follow prefix [begin], causal.

        The prefix is computed once for the whole batch.
        """
        (batch, time), begin = ids.shape, len(prefix)
        x = F.embedding(torch.cat((prefix, ids.flatten())), self.base["embd"])
        angle = torch.arange(begin + time).float()[:, None] * self.freqs
        cos, sin = angle.cos().to(self.dtype), angle.sin().to(self.dtype)
        seen = torch.ones(time, begin + time, dtype=torch.bool).tril(begin)
        groups = self.n_heads // self.n_kv

        def split(y: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
            """[1, heads, begin, head] and [batch, heads, time, head] of the rows of both."""
            first = y[:begin].view(1, begin, heads, self.head)
            return first.transpose(1, 2), y[begin:].view(batch, time, heads, self.head).transpose(1, 2)

        def turned(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            return self._rope(pair[0], cos[:begin], sin[:begin]), self._rope(pair[1], cos[begin:], sin[begin:])

        def whole(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            """Keys or values of the prefix, and of prefix and rest, for every query head."""
            first = pair[0].repeat_interleave(groups, 1)
            rest = pair[1].repeat_interleave(groups, 1)
            return first, torch.cat((first.expand(batch, -1, -1, -1), rest), 2)

        for layer in range(self.n_layers):
            h = self._norm(x, f"{layer}.attn_norm")
            q = turned(split(self._linear(h, layer, "attn_q"), self.n_heads))
            k = whole(turned(split(self._linear(h, layer, "attn_k"), self.n_kv)))
            v = whole(split(self._linear(h, layer, "attn_v"), self.n_kv))
            first = F.scaled_dot_product_attention(q[0], k[0], v[0], is_causal=True)
            rest = F.scaled_dot_product_attention(q[1], k[1], v[1], attn_mask=seen)
            y = torch.cat([part.transpose(1, 2).reshape(-1, self.n_embd) for part in (first, rest)])
            x = x + self._linear(y, layer, "attn_output")
            h = self._norm(x, f"{layer}.ffn_norm")
            gate = F.silu(self._linear(h, layer, "ffn_gate")) * self._linear(h, layer, "ffn_up")
            x = x + self._linear(gate, layer, "ffn_down")
        return self._norm(x[begin:].view(batch, time, -1), "norm")

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states."""
        return F.linear(hidden, self.base["embd"]).float()

    def load(self, path: str | Path) -> None:
        """Begins from an adapter that was saved with the same rank and first layer.

        Raises ValueError where it holds other matrices.
        """
        file = open_gguf(str(path))
        for layer in range(self.n_layers):
            for name in LINEARS:
                for part in ("a", "b"):
                    theirs, key = f"blk.{layer}.{name}.weight.lora_{part}", f"blk_{layer}_{name}_{part}"
                    if (theirs in file.tensors) != (key in self.lora):
                        raise ValueError(f"{path}: {theirs} does not fit a LoRA that begins at layer {self.first}")
                    if key not in self.lora:
                        continue
                    tensor, mine = file.tensor(theirs), self.lora[key]
                    if tuple(tensor.shape) != tuple(mine.shape):
                        raise ValueError(f"{path}: {theirs} has shape {tensor.shape}, wanted {tuple(mine.shape)}")
                    mine.data.copy_(torch.from_numpy(np.array(tensor.dequantize(), np.float32).reshape(mine.shape)))

    def save(self, path: str | Path) -> None:
        """The adapter as a GGUF file in float16."""
        with GGUFWriter(path) as out:
            out.add("general.architecture", "llama").add("general.type", "adapter").add("adapter.type", "lora")
            out.add("general.name", "plain-commands").add("adapter.lora.alpha", float(self.alpha))
            out.add("general.base_model.count", 1).add("general.base_model.0.name", self.base_name)
            out.add(BASE, self.fingerprint).add("general.license", "apache-2.0")
            for layer in range(self.first, self.n_layers):
                for name in LINEARS:
                    for part in ("a", "b"):
                        values = self.lora[f"blk_{layer}_{name}_{part}"].detach().numpy().astype(np.float16)
                        out.add_tensor(f"blk.{layer}.{name}.weight.lora_{part}", values)
