"""A Llama in PyTorch with frozen weights out of a GGUF file and trainable LoRA matrices beside every linear map.

The weights are those that the engine runs: dequantized, q and k in the file's order (pairs of neighbours rotate
together). So the adapter fits the quantized model, and its matrices have the file's names and shapes. It computes in
bfloat16 where the processor multiplies tiles of it, else in float32, which is then nearly twice as fast.
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
        self.dtype = torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
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
        y = F.linear(x, self.base[f"{layer}.{name}"])
        if layer < self.first:
            return y
        a, b = (self.lora[f"blk_{layer}_{name}_{part}"].to(self.dtype) for part in ("a", "b"))
        return y + self.scale * F.linear(F.linear(x, a), b)

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps) * self.base[name]).to(self.dtype)

    def _rope(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states [batch, time, n_embd] of ids [batch, time], causal."""
        batch, time = ids.shape
        x = F.embedding(ids, self.base["embd"])
        angle = torch.arange(time).float()[:, None] * self.freqs
        cos, sin = angle.cos().to(self.dtype), angle.sin().to(self.dtype)
        for layer in range(self.n_layers):
            h = self._norm(x, f"{layer}.attn_norm")

            def heads(name: str, count: int, h=h, layer=layer):
                return self._linear(h, layer, name).view(batch, time, count, self.head).transpose(1, 2)

            q, k = heads("attn_q", self.n_heads), heads("attn_k", self.n_kv)
            v = heads("attn_v", self.n_kv)
            q, k = self._rope(q, cos, sin), self._rope(k, cos, sin)
            groups = self.n_heads // self.n_kv
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self._linear(y.transpose(1, 2).reshape(batch, time, -1), layer, "attn_output")
            h = self._norm(x, f"{layer}.ffn_norm")
            gate = F.silu(self._linear(h, layer, "ffn_gate")) * self._linear(h, layer, "ffn_up")
            x = x + self._linear(gate, layer, "ffn_down")
        return self._norm(x, "norm")

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states."""
        return F.linear(hidden, self.base["embd"]).float()

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
