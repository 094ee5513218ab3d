"""Fixtures that many tests share: the default model's file, and one engine on it for the whole session."""

import numba  # noqa: F401 - the tests compile in their own process: llm_core/kernels/deferred.py
import pytest

from llm_core.catalog import DEFAULT_MODEL


@pytest.fixture(scope="session")
def default_model_path():
    """The embedded default model's GGUF file; fetched (and its hash checked) if the cache does not hold it yet."""
    from llm_core.hub import fetch

    return fetch(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def default_engine(default_model_path):
    """One engine on the default model, two threads."""
    from llm_core import Engine

    engine = Engine(default_model_path, n_ctx=2048, n_threads=2)
    yield engine
    engine.close()
