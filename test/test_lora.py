"""LoRA adapters: the engine with one is the reference of the merged weights, for every architecture; in batches, by
request, apart in the cache; and files that are none.
"""

import numpy as np
import pytest
from lora_helpers import matrices, write_adapter
from naive import naive_logits
from tiny_models import case_tokens, tiny_config, tiny_tensors, write_tiny

from llm_core import Engine, SamplingParams
from llm_core.convert import quantize_model
from llm_core.errors import ModelError, RequestError
from llm_core.gguf import GGMLType, GGUFWriter, open_gguf
from llm_core.models import load_model
from llm_core.models.adapter import load_adapter
from llm_core.program import Batch, Runner

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3")
REFERENCE = 2e-2  # as in test_models.py: the cache is float16


def logits(runner, tokens, counts, adapters=None):
    """Logits of one sequence, computed in chunks of `counts`."""
    table = np.arange(runner.n_blocks, dtype=np.int32)[None]
    rows, done = [], 0
    for count in counts:
        positions = np.arange(done, done + count, dtype=np.int32)
        starts = np.array([0, count], np.int32)
        outputs = np.arange(count, dtype=np.int32)
        chosen = None if adapters is None else [adapters]
        rows.append(runner.step(Batch(tokens[positions], positions, starts, table, outputs, adapters=chosen)).copy())
        done += count
    return np.concatenate(rows)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_adapter_is_the_merged_weights(tmp_path, arch):
    config = tiny_config(arch)
    tokens = case_tokens(config)
    plain = write_tiny(tmp_path / "plain.gguf", arch)
    added = write_adapter(tmp_path / "adapter.gguf", config, matrices(config))
    tensors = tiny_tensors(config)
    merged = write_tiny(
        tmp_path / "merged.gguf", arch, tensors={name: tensors[name] + change for name, change in added.items()}
    )
    expected, before = (naive_logits(open_gguf(path), tokens) for path in (merged, plain))
    assert np.abs(expected - before).max() > 10 * REFERENCE  # it matters
    model = load_model(plain)
    runner = Runner(model, n_ctx=256, max_rows=32, n_threads=2)
    try:
        adapter = load_adapter(tmp_path / "adapter.gguf", model)
        twin = naive_logits(open_gguf(plain), tokens, adapters=[(adapter, 1.0)])
        assert np.abs(twin - expected).max() < 1e-3
        lora = runner.attach(adapter)
        whole = logits(runner, tokens, [24], ((lora, 1.0),))
        assert np.abs(whole - expected).max() < REFERENCE
        single = logits(runner, tokens, [1] * 24, ((lora, 1.0),))
        assert np.abs(single - expected).max() < REFERENCE
        without = logits(runner, tokens, [24])
        assert np.abs(without - before).max() < REFERENCE
        assert np.array_equal(without, logits(runner, tokens, [24], ((lora, 0.0),)))
    finally:
        runner.close()


def test_rows_of_a_step_take_their_own_adapters(tmp_path):
    config = tiny_config("llama")
    tokens = case_tokens(config)
    model = load_model(write_tiny(tmp_path / "m.gguf"))
    names = matrices(config)
    write_adapter(tmp_path / "a.gguf", config, names[:3], seed=1)
    write_adapter(tmp_path / "b.gguf", config, names[2:], seed=2, type=GGMLType.F16)
    runner = Runner(model, n_ctx=256, n_blocks=64, max_rows=96, n_threads=2)
    try:
        a, b = (runner.attach(load_adapter(tmp_path / f"{name}.gguf", model)) for name in "ab")
        choices = [(), ((a, 1.0),), ((a, 0.5), (b, -1.0))]
        alone = [logits(runner, tokens, [24], choice) for choice in choices]
        blocks = -(-24 // runner.block_size)
        table = np.arange(3 * blocks, dtype=np.int32).reshape(3, blocks)
        n = np.arange(24, dtype=np.int32)
        together = runner.step(
            Batch(
                np.tile(tokens, 3),
                np.tile(n, 3),
                np.array([0, 24, 48, 72], np.int32),
                table,
                np.arange(72, dtype=np.int32),
                adapters=choices,
            )
        )
        for own, apart in zip(np.split(together, 3), alone, strict=True):
            assert np.array_equal(own, apart)
        assert not np.array_equal(alone[1], alone[2])
    finally:
        runner.close()


@pytest.fixture
def engine(tmp_path):
    """An engine with the adapter "far", which no request uses unless it says so."""
    config = tiny_config("llama")
    path = write_tiny(tmp_path / "m.gguf")
    write_adapter(tmp_path / "far.gguf", config, matrices(config))
    with Engine(path, n_ctx=256, n_threads=2, adapters={"far": tmp_path / "far.gguf"}) as engine:
        yield engine


def test_a_request_chooses_and_shares_no_prefix_with_another_choice(engine):
    def ids(adapters=None):
        params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
        result = engine.generate("the same prompt for everybody, long enough for blocks", params, adapters=adapters)
        return result.tokens, result.usage.cached_prompt_tokens

    plain, cached = ids()
    assert cached == 0
    far, cached = ids("far")
    assert cached == 0 and far != plain
    again, cached = ids({"far": 1.0})
    assert cached > 0 and again == far
    half, cached = ids({"far": 0.5})
    assert cached == 0
    back, cached = ids(())
    assert cached > 0 and back == plain
    engine.unload_adapter("far")
    with pytest.raises(RequestError, match=r"adapters has 'far': no such adapter is loaded"):
        ids("far")


def test_bad_choices_are_refused_by_name(engine):
    for choice, words in (
        ("near", "'near'"),
        ({"far": float("nan")}, "nan"),
        ({"far": 1e9}, "1000000000"),
        (["far", "far"], "twice"),
        (3, "3"),
    ):
        with pytest.raises(RequestError, match=words):
            engine.generate("x", SamplingParams(max_tokens=1), adapters=choice)


def test_bad_files_are_refused_with_key_or_tensor(tmp_path):
    config = tiny_config("llama")
    model = load_model(write_tiny(tmp_path / "m.gguf"))
    name = matrices(config)[0]

    def fails(words, weights=(name,), **metadata):
        write_adapter(tmp_path / "bad.gguf", config, weights, **metadata)
        with pytest.raises(ModelError, match=words):
            load_adapter(tmp_path / "bad.gguf", model)

    fails("adapter.lora.alpha", **{"adapter.lora.alpha": float("nan")})
    fails("general.architecture", **{"general.architecture": "qwen2"})
    fails("adapter.type", **{"adapter.type": "control_vector"})
    with pytest.raises(ModelError, match="m.gguf: this is no adapter: .*general.architecture 'llama'"):
        load_adapter(tmp_path / "m.gguf", model)
    write_adapter(tmp_path / "a.gguf", config, [name])
    for use in (Engine, lambda path: quantize_model(path, tmp_path / "out.gguf", "Q8_0")):
        with pytest.raises(ModelError, match="a.gguf: key 'general.type': this is a LoRA adapter and no model"):
            use(tmp_path / "a.gguf")
    for tensors, words in (
        ({f"{name}.lora_a": (4, 7), f"{name}.lora_b": (7, 4)}, "lora_a"),
        ({f"{name}.lora_a": (4, model.config.n_embd)}, "lora_b"),
        ({"blk.99.attn_q.weight.lora_a": (4, 32), "blk.99.attn_q.weight.lora_b": (32, 4)}, "blk.99"),
        ({name: (4, 4)}, name),
    ):
        with GGUFWriter(tmp_path / "bad.gguf") as writer:
            for key, value in (("general.type", "adapter"), ("adapter.type", "lora")):
                writer.add(key, value)
            writer.add("general.architecture", "llama")
            writer.add("adapter.lora.alpha", 8.0)
            for tensor, shape in tensors.items():
                writer.add_tensor(tensor, np.ones(shape, np.float32))
        with pytest.raises(ModelError, match=words):
            load_adapter(tmp_path / "bad.gguf", model)
