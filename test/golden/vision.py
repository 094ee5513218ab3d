"""Records what `transformers` computes, in float32, for tiny vision-language models: test/data/vision_cases.json and
vision_features.npz. Weights come from their names (vision_folders.py). Run from the checkout: `python
test/golden/vision.py` (needs torch and transformers 5).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers as tf
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from hf_folders import tokenizer_json  # noqa: E402
from vision_folders import (  # noqa: E402
    DATA,
    MEAN,
    MOBILE,
    N_VOCAB,
    OWN,
    STAGES,
    STD,
    TOWER_NAMES,
    mobile_shapes,
    mobile_weights,
    own_shapes,
    picture,
    weights,
)  # fmt: skip

IMAGE_TOKEN = 280
ANSWER = 10
WIDE = 100  # pixels of the picture that is cut into tiles
MARGIN = 0.1  # between the best logits of every step
LLAMA = dict(
    vocab_size=N_VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False,
    pad_token_id=None, head_dim=32,
)  # fmt: skip


def llava():
    vision = tf.CLIPVisionConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14,
        hidden_act="quick_gelu", projection_dim=32,
    )  # fmt: skip
    config = tf.LlavaConfig(
        vision_config=vision, text_config=tf.LlamaConfig(**LLAMA), image_token_id=IMAGE_TOKEN, vision_feature_layer=-2,
        tie_word_embeddings=False,
    )  # fmt: skip
    return tf.LlavaForConditionalGeneration, config, {"crop_size": {"height": 56, "width": 56}}, "", ""


def idefics3():
    vision = dict(
        model_type="idefics3_vision", hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=2,
        image_size=64, patch_size=8, hidden_act="gelu_pytorch_tanh",
    )  # fmt: skip
    config = tf.Idefics3Config(
        vision_config=vision, text_config=tf.LlamaConfig(**LLAMA), image_token_id=IMAGE_TOKEN, scale_factor=4,
        tie_word_embeddings=False,
    )  # fmt: skip
    before = "<fake_token_around_image><global-img>"
    size = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 64}}
    return tf.Idefics3ForConditionalGeneration, config, size, before, "<fake_token_around_image>"


def gemma3():
    text = tf.Gemma3TextConfig(
        vocab_size=N_VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, sliding_window=8, max_position_embeddings=512, query_pre_attn_scalar=32,
        rms_norm_eps=1e-6,
    )  # fmt: skip
    vision = tf.SiglipVisionConfig(
        hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        vision_use_head=False,
    )  # fmt: skip
    config = tf.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=16, image_token_index=IMAGE_TOKEN,
        boi_token_index=281, eoi_token_index=282,
    )  # fmt: skip
    size = {"size": {"height": 64, "width": 64}}
    return tf.Gemma3ForConditionalGeneration, config, size, "\n\n<start_of_image>", "<end_of_image>\n\n"


def llava_next():
    kind, config, preprocessor, before, after = llava()
    pinpoints = [[56, 112], [112, 56], [112, 112]]
    config = tf.LlavaNextConfig(
        vision_config=config.vision_config, text_config=config.text_config, image_token_id=IMAGE_TOKEN,
        vision_feature_layer=-2, tie_word_embeddings=False, image_grid_pinpoints=pinpoints,
    )  # fmt: skip
    return tf.LlavaNextForConditionalGeneration, config, preprocessor, before, after


def qwen2vl():
    text = LLAMA | dict(
        num_attention_heads=2, num_key_value_heads=1, rope_theta=1e4, rms_norm_eps=1e-6, use_sliding_window=False,
        rope_scaling={"type": "mrope", "mrope_section": [4, 6, 6]},
    )  # fmt: skip
    text.pop("head_dim")
    vision = dict(depth=2, embed_dim=64, hidden_size=64, num_heads=4, mlp_ratio=2, patch_size=14)
    config = tf.Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE_TOKEN, vision_start_token_id=281,
        video_token_id=283, vision_end_token_id=282, tie_word_embeddings=False,
    )  # fmt: skip
    size = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 40}
    return tf.Qwen2VLForConditionalGeneration, config, size, "<|vision_start|>", "<|vision_end|>"


def qwen25vl():
    _, config, size, before, after = qwen2vl()
    vision = dict(
        depth=3, hidden_size=64, out_hidden_size=64, intermediate_size=88, num_heads=4, patch_size=14, window_size=56,
        fullatt_block_indexes=[1],
    )  # fmt: skip
    config = tf.Qwen2_5_VLConfig(
        text_config=config.text_config.to_dict(), vision_config=vision, image_token_id=IMAGE_TOKEN, video_token_id=283,
        vision_start_token_id=281, vision_end_token_id=282, tie_word_embeddings=False,
    )  # fmt: skip
    return tf.Qwen2_5_VLForConditionalGeneration, config, size, before, after


def tiles(name: str, side: int) -> tuple[list, tuple[int, int]]:
    """The tiles of the case's picture as we cut them, and its (height, width)."""
    if name != "llava_next":
        return [picture(side)], (side, side)
    spec = importlib.util.spec_from_file_location("preprocess", HERE.parents[1] / "llm_core/vision/preprocess.py")
    preprocess = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(preprocess)
    image = Image.fromarray(picture(side, WIDE))
    whole = preprocess.stretch(image, (side, side), "bicubic")
    return [whole, *preprocess.cut(preprocess.fit(image, (2 * side, side), "bicubic"), side)], (side, WIDE)


CASES = {
    "llava_next": llava_next, "llava": llava, "idefics3": idefics3, "gemma3": gemma3, "qwen2vl": qwen2vl,
    "qwen25vl": qwen25vl,
}  # fmt: skip


def record(name: str) -> tuple[dict, np.ndarray]:
    """The case, and the embeddings of its picture."""
    kind, config, preprocessor, before, after = CASES[name]()
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = kind(config).eval().float()
    state = {n: torch.from_numpy(weights(n, tuple(t.shape)).copy()) for n, t in model.named_parameters()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in n or n == "lm_head.weight" for n in missing), (missing, unexpected)
    is_qwen = name.startswith("qwen")
    side = 134 if is_qwen else config.vision_config.image_size
    parts, size = tiles(name, side)
    pixels = [(np.asarray(p).astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD) for p in parts]
    values = torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).copy())
    if name in ("idefics3", "llava_next"):
        values = values[None]
    sizes = {"image_sizes": torch.tensor([size])} if name == "llava_next" else {}
    if is_qwen:  # its own processor, from a picture that must be resized
        size = (side, WIDE)
        processor = Qwen2VLImageProcessorPil(**preprocessor, image_mean=MEAN, image_std=STD)
        made = processor(Image.fromarray(picture(*size)), return_tensors="pt")
        values, sizes = made["pixel_values"], {"image_grid_thw": made["image_grid_thw"]}
    with torch.no_grad():
        out = model.get_image_features(pixel_values=values, **sizes)
        out = getattr(out, "pooler_output", out)
        features = out[0] if isinstance(out, (list, tuple)) else out
        features = features.reshape(-1, features.shape[-1]).numpy()
        tokens = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(N_VOCAB)))
        text = [tokens.encode(piece, add_special_tokens=False).ids for piece in (before, after)]
        for turn in range(100):  # a prompt whose answer leaves no doubt
            prompt = [[40, 71, 9], [120, 33, 256, 57 + turn]]
            ids = [*prompt[0], *text[0], *[IMAGE_TOKEN] * len(features), *text[1], *prompt[1]]
            answer, doubt = [], 1.0
            for _ in range(ANSWER):
                inputs = torch.tensor([ids + answer])
                types = (inputs == IMAGE_TOKEN).int()
                extra = {"token_type_ids": types} if name == "gemma3" else {}
                extra |= {"mm_token_type_ids": types} if is_qwen else {}
                logits = model(input_ids=inputs, pixel_values=values, use_cache=False, **extra, **sizes).logits[0, -1]
                best = logits.topk(2)
                doubt = min(doubt, float(best.values[0] - best.values[1]))
                answer.append(int(best.indices[0]))
            if doubt > MARGIN and len(set(answer)) > 2:
                break
        else:
            raise SystemExit(f"{name}: no prompt with an answer that is clear")
    saved = json.loads(config.to_json_string(use_diff=False))
    saved["architectures"] = [kind.__name__]
    case = {
        "config": saved, "preprocessor": preprocessor | {"image_mean": MEAN, "image_std": STD}, "side": side,
        "size": size,
        "tensors": {n: list(t.shape) for n, t in state.items()}, "prompt": [*prompt[0], -1, *prompt[1]],
        "answer": answer,
    }  # fmt: skip
    return case, features


class Block(torch.nn.Module):
    """MobileVLM's inverted residual (Chu et al., 2023), written from the paper and the definition of its layers in
    torchvision: depthwise convolution, norm over channels, hard swish; squeeze and excitation; pointwise, norm."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        conv = torch.nn.Conv2d
        self.depthwise = conv(width, width, 3, stride, 1, groups=width, bias=False)
        self.pointwise = conv(width, width, 1, bias=False)
        self.fc1, self.fc2 = conv(width, width // 4, 1), conv(width // 4, width, 1)
        self.norm1, self.norm2 = torch.nn.LayerNorm(width, 1e-5), torch.nn.LayerNorm(width, 1e-5)
        self.residual = stride == 1

    def forward(self, x):
        """[1, width, rows, columns] → the same, or half of the rows and columns"""
        over_channels = lambda norm, y: norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # noqa: E731
        h = torch.nn.functional.hardswish(over_channels(self.norm1, self.depthwise(x)))
        gates = self.fc2(torch.relu(self.fc1(h.mean((2, 3), keepdim=True))))
        h = over_channels(self.norm2, self.pointwise(h * torch.nn.functional.hardsigmoid(gates)))
        return x + h if self.residual else h


def mobile(projector: str) -> np.ndarray:
    """The embeddings of MobileVLM: CLIP by transformers, its projector by the twin above."""
    width, side = MOBILE["projection_dim"], MOBILE["image_size"]
    config = tf.CLIPVisionConfig(
        hidden_size=MOBILE["embedding_length"], intermediate_size=MOBILE["feed_forward_length"],
        num_hidden_layers=MOBILE["block_count"], num_attention_heads=MOBILE["attention.head_count"], image_size=side,
        patch_size=MOBILE["patch_size"], hidden_act="quick_gelu",
    )  # fmt: skip
    given = {n: torch.from_numpy(mobile_weights(n, s).copy()) for n, s in mobile_shapes(projector).items()}
    state = {}
    for name, value in given.items():
        own = name.replace("v.blk.", "encoder.layers.")
        for short, long in TOWER_NAMES.items():
            own = own.replace(f".{short}.", f".{long}.") if short[0] != "v" else own.replace(short, long)
        state[own] = value
    tower = tf.CLIPVisionModel(config).eval().float()
    inner = getattr(tower, "vision_model", tower)
    missing, _ = inner.load_state_dict({n: v for n, v in state.items() if not n.startswith("mm.")}, strict=False)
    assert all("post_layernorm" in n or "position_ids" in n for n in missing), missing
    pixels = (picture(side).astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)

    def mlp(name, x):
        return torch.nn.functional.linear(x, given[f"mm.model.mlp.{name}.weight"], given[f"mm.model.mlp.{name}.bias"])

    with torch.no_grad():
        values = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
        x = tower(pixel_values=values, output_hidden_states=True).hidden_states[-1][:, 1:]
        first, second = ("1", "3") if projector == "ldp" else ("0", "2")
        x = mlp(second, torch.nn.functional.gelu(mlp(first, x)))
        grid = int(x.shape[1] ** 0.5)
        x = x.transpose(1, 2).reshape(1, width, grid, grid)
        if projector == "ldp":
            for number in (1, 2):
                block = Block(width, number)
                names = {
                    "depthwise": "0.0", "norm1": "0.1", "fc1": "1.fc1", "fc2": "1.fc2", "pointwise": "2.0",
                    "norm2": "2.1",
                }  # fmt: skip
                own = {
                    f"{module}.{kind}": given[f"mm.model.mb_block.{number}.block.{name}.{kind}"]
                    for module, name in names.items() for kind in ("weight", "bias")
                    if f"mm.model.mb_block.{number}.block.{name}.{kind}" in given
                }  # fmt: skip
                own = {n: v.reshape(block.state_dict()[n].shape) for n, v in own.items()}
                block.load_state_dict(own)
                x = block(x)
        else:
            x = torch.nn.functional.avg_pool2d(x, 2)
            weight, bias = given["mm.model.peg.0.weight"], given["mm.model.peg.0.bias"]
            x = x + torch.nn.functional.conv2d(x, weight, bias, padding=1, groups=width)
        return x.flatten(2).transpose(1, 2)[0].numpy()


def own() -> np.ndarray:
    """The embeddings of a tower of our own kind: convolutions as torch has them, the layers by transformers."""
    conv2d, linear = torch.nn.functional.conv2d, torch.nn.functional.linear
    given = {n: torch.from_numpy(mobile_weights(n, s).copy()) for n, s in own_shapes().items()}

    def of(name):
        return given[f"{name}.weight"], given[f"{name}.bias"]

    def norm(name, y):
        over = y.permute(0, 2, 3, 1)
        return torch.nn.functional.layer_norm(over, over.shape[-1:], *of(name), 1e-5).permute(0, 3, 1, 2)

    def point(name, y):
        weight, bias = of(name)
        return conv2d(y, weight[:, :, None, None], bias)

    pixels = (picture(OWN["image_size"]).astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    x = conv2d(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None], *of("v.patch_embd"), stride=OWN["patch_size"])
    for i, (wide, blocks, merge) in enumerate(STAGES):
        for block in range(blocks):
            name = f"v.stage.{i}.blk.{block}."
            weight, bias = of(f"{name}conv")
            h = norm(f"{name}ln", conv2d(x, weight[:, None], bias, padding=1, groups=wide))
            x = x + point(f"{name}ffn_down", torch.relu(point(f"{name}ffn_up", h)))
        weight, bias = of(f"v.stage.{i}.merge")
        weight = weight.view(-1, merge, merge, wide).permute(0, 3, 1, 2)
        x = conv2d(norm(f"v.stage.{i}.ln", x), weight, bias, stride=merge)
    config = tf.CLIPVisionConfig(
        hidden_size=OWN["embedding_length"], intermediate_size=OWN["feed_forward_length"],
        num_hidden_layers=OWN["block_count"], num_attention_heads=OWN["attention.head_count"],
        hidden_act="gelu_pytorch_tanh",
    )  # fmt: skip
    tower = tf.CLIPVisionModel(config).eval().float()
    encoder = getattr(tower, "vision_model", tower).encoder
    state = {}
    for name, value in given.items():
        if name.startswith("v.blk."):
            long = name.replace("v.blk.", "layers.")
            for short, other in TOWER_NAMES.items():
                long = long.replace(f".{short}.", f".{other}.") if short[0] != "v" else long
            state[long] = value
    encoder.load_state_dict(state)
    x = x.flatten(2).transpose(1, 2) + given["v.position_embd.weight"]
    with torch.no_grad():
        x = encoder(inputs_embeds=x).last_hidden_state
    return linear(torch.nn.functional.gelu(linear(x, *of("mm.0"))), *of("mm.2"))[0].numpy()


if __name__ == "__main__":
    found, features = {}, {}
    for name in CASES:
        found[name], features[name] = record(name)
        print(name, features[name].shape, found[name]["answer"])
    for name in ("ldp", "ldpv2"):
        features[name] = mobile(name)
        print(name, features[name].shape)
    features["own"] = own()
    (DATA / "vision_cases.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
    np.savez_compressed(DATA / "vision_features.npz", **features)
    print({p.name: p.stat().st_size for p in DATA.glob("vision_*")})
