"""Perplexity and divergence: the figures from logits by hand, the chunks as llama.cpp cuts them, and the two verbs."""

import json
import math

import numpy as np
import pytest
from naive import naive_logits
from tiny_models import write_tiny

from llm_core import evaluate
from llm_core.cli.main import main
from llm_core.errors import RequestError
from llm_core.gguf import GGMLType, open_gguf
from llm_core.tokenizer import Tokenizer

TEXT = "the rain in the train to the plain; " * 12


class Table:
    """A contender whose logits after token t are row t of a table, given a few at a time."""

    chunk = 3

    def __init__(self, rows):
        self.rows, self.steps = np.asarray(rows, np.float32), []

    def reset(self):
        self.steps.append([])

    def push(self, tokens, first=0):
        assert len(tokens) <= max(self.chunk, evaluate.SCORED_ROWS)
        self.steps[-1] += tokens
        return self.rows[tokens[first:]]

    def close(self):
        pass


def test_only_the_second_half_of_a_chunk_is_scored():
    rows = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    table = Table(rows)
    chunks = [[0, 1, 2, 0, 1, 1, 2, 0], [2, 2, 2, 2, 2, 2, 2, 2]]
    found = evaluate.perplexity(table, chunks)
    # 8 tokens: those that follow positions 4, 5 and 6
    losses = -np.log([0.8, 0.1, 0.2, 0.6, 0.6, 0.6])
    assert table.steps == [chunk[:-1] for chunk in chunks] and found["scored_tokens"] == 6
    assert found["perplexity"] == pytest.approx(math.exp(losses.mean()), rel=1e-6)
    error = math.sqrt((np.mean(losses**2) - np.mean(losses) ** 2) / 5)
    assert found["perplexity_error"] == pytest.approx(found["perplexity"] * error, rel=1e-5)


def test_with_a_stride_every_token_is_scored_once_with_all_the_context_that_a_chunk_gives(tmp_path):
    tokenizer = Tokenizer.from_metadata(open_gguf(write_tiny(tmp_path / "tiny.gguf")).metadata)
    tokens = tokenizer.encode(TEXT)
    chunks = evaluate.cut(tokenizer, TEXT, 100, stride=30)
    assert chunks == [tokens[at : at + 100] for at in range(0, len(tokens) - 99, 30)]
    parts = [part for chunk in chunks for _, part in evaluate.scored(Table(np.eye(291)), chunk, 30)]
    assert sum(parts, []) == tokens[70 : 70 + 30 * len(chunks)]
    with pytest.raises(RequestError, match="stride = 100: must be from 1 to 99"):
        evaluate.cut(tokenizer, TEXT, 100, stride=100)


def test_divergence_from_a_reference():
    p, q = np.array([[0.5, 0.25, 0.25]] * 3), np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]])
    found = evaluate.divergence(Table(np.log(q)), Table(np.log(p)), [[0, 0, 0, 0, 0, 1, 0, 2]])
    # positions 4, 5, 6 hold tokens 0, 1, 0; only the second one's probabilities differ, and token 0 came then
    kl = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert found["kl_mean"] == pytest.approx(kl / 3, rel=1e-5) and found["kl_max"] == pytest.approx(kl, rel=1e-5)
    assert found["kl_median"] == pytest.approx(0, abs=1e-12) and found["top1"] == pytest.approx(2 / 3)
    assert found["rms_dp"] == pytest.approx(math.sqrt(0.25**2 / 3), rel=1e-5)
    assert found["perplexity_reference"] == pytest.approx((1 / (0.25 * 0.5 * 0.25)) ** (1 / 3), rel=1e-5)


def test_chunks_begin_with_bos_where_the_model_wants_it(tmp_path):
    metadata = {"tokenizer.ggml.add_bos_token": True}
    plain, with_bos = (
        Tokenizer.from_metadata(open_gguf(write_tiny(tmp_path / f"{i}.gguf", metadata=more)).metadata)
        for i, more in enumerate(({}, metadata))
    )
    tokens = plain.encode(TEXT)
    assert evaluate.cut(plain, TEXT, 100, 2) == [tokens[:100], tokens[100:200]]
    assert len(evaluate.cut(plain, TEXT, 100)) == len(tokens) // 100
    found = evaluate.cut(with_bos, TEXT, 100)
    assert found[0] == [with_bos.bos_id, *tokens[:99]] and found[1] == [with_bos.bos_id, *tokens[100:199]]
    bad = ((("short", 100), "has 5 tokens"), ((TEXT, 4), "ctx = 4"), ((TEXT, 100, 0), "chunks = 0"))
    for arguments, message in bad:
        with pytest.raises(RequestError, match=message):
            evaluate.cut(plain, *arguments)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, the same in eight bits, and a text."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "text.txt").write_text(TEXT)
    write_tiny(folder / "f32.gguf", "llama", GGMLType.F32)
    write_tiny(folder / "q8_0.gguf", "llama", GGMLType.Q8_0)
    return folder


def test_the_verbs_agree_with_the_reference_computation(files, capsys):
    common = [str(files / "text.txt"), "--ctx", "160", "--chunks", "1", "--threads", "1", "--json"]
    assert main(["perplexity", "--model", str(files / "q8_0.gguf"), *common]) == 0
    perplexity = json.loads(capsys.readouterr().out)
    assert main(["kl", "--model", str(files / "q8_0.gguf"), "--reference", str(files / "f32.gguf"), *common]) == 0
    kl = json.loads(capsys.readouterr().out)

    file, exact = open_gguf(files / "q8_0.gguf"), open_gguf(files / "f32.gguf")
    tokens = Tokenizer.from_metadata(file.metadata).encode(TEXT)[:160]
    q, p = (evaluate.log_softmax(naive_logits(f, np.array(tokens), n_ctx=160)[80:159]) for f in (file, exact))
    loss = -q[np.arange(79), tokens[81:]].mean()
    assert perplexity["ours"]["perplexity"] == pytest.approx(math.exp(loss), rel=0.02)
    assert perplexity["ours"]["scored_tokens"] == 79 and perplexity["chunks"] == 1
    assert perplexity["bytes"] == sum(tensor.nbytes for tensor in file.tensors.values())
    assert kl["ours"]["perplexity"] == pytest.approx(perplexity["ours"]["perplexity"], rel=1e-9)
    assert 0 < kl["ours"]["kl_mean"] == pytest.approx((np.exp(p) * (p - q)).sum(axis=1).mean(), rel=0.5, abs=1e-3)
    assert 0.8 < kl["ours"]["top1"] <= 1 and 0 < kl["ours"]["rms_dp"] < 0.05


def test_a_model_is_no_distance_from_itself_and_the_tables_are_for_people(files, capsys):
    model = ["--model", str(files / "f32.gguf")]
    common = [str(files / "text.txt"), "--ctx", "64", "--threads", "1"]
    assert main(["kl", *model, "--reference", str(files / "f32.gguf"), *common]) == 0
    out = capsys.readouterr().out
    assert "KL mean" in out and out.splitlines()[2].split()[1:6] == ["0.000000"] * 2 + ["0.00000", "0.0000", "1.0000"]
    assert main(["perplexity", *model, *common]) == 0
    assert "ours       perplexity " in capsys.readouterr().out


def test_models_that_read_the_text_differently_are_not_compared(files, tmp_path, capsys):
    other = write_tiny(tmp_path / "other.gguf", metadata={"tokenizer.ggml.add_bos_token": True})
    arguments = [str(files / "text.txt"), "--model", str(files / "f32.gguf"), "--reference", str(other), "--ctx", "64"]
    assert main(["kl", *arguments]) == 2
    assert "makes other tokens of the text" in capsys.readouterr().err
