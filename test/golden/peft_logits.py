"""Records what PEFT computes, in float32, for every adapter of hf_folders: test/data/peft_logits.npz.

The matrices come from seeds, and PEFT reads them from the folders that the test converts; the file holds logits
only. Run from the checkout: `python test/golden/peft_logits.py` (needs torch, transformers 5 and peft).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import peft

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]

from hf_folders import ADAPTERS, write_adapter_folder  # noqa: E402
from tiny_models import CASES, GOLDEN_ROWS  # noqa: E402
from transformers_logits import case_model, logits_of  # noqa: E402

if __name__ == "__main__":
    golden = {}
    for name, (case, _, _) in ADAPTERS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_adapter_folder(Path(folder), name)
            model = peft.PeftModel.from_pretrained(case_model(CASES[case]), folder)
        golden[name] = logits_of(model.eval(), CASES[case])[GOLDEN_ROWS]
        with model.disable_adapter():
            change = np.abs(golden[name] - logits_of(model, CASES[case])[GOLDEN_ROWS]).max()
        print(f"{name}: the adapter changes a logit by up to {change:.2f}")
    path = HERE.parent / "data" / "peft_logits.npz"
    np.savez_compressed(path, **golden)
    print(f"{path}: {len(golden)} cases, {path.stat().st_size / 1e3:.0f} kB, peft {peft.__version__}")
