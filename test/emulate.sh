#!/bin/sh
# Run this checkout on an emulated AArch64 CPU: an ARM Python with the real numba, in QEMU's user mode.
#
#   test/emulate.sh CPU [what Python gets]     default: the kernel and format tests
#
# CPU is one of QEMU's: cortex-a72 (level generic), neoverse-n1 (dotprod: neon), max (i8mm: neon_i8mm); LLM_CORE_ISA
# works as ever. Needs qemu-user-static (or qemu-user), mmdebstrap, and pip in ${PYTHON:-python3}. The first run puts
# Debian's ARM Python and the ARM wheels into ${LLM_CORE_EMULATION:-~/.cache/llm_core/aarch64} (0.4 GB).
set -eu
cpu=${1:?which CPU? for instance cortex-a72, neoverse-n1 or max}
shift
checkout=$(cd "$(dirname "$0")/.." && pwd)
machine=${LLM_CORE_EMULATION:-${XDG_CACHE_HOME:-$HOME/.cache}/llm_core/aarch64}
python=${PYTHON:-python3}
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64)

if [ ! -e "$machine/ready" ]; then
  rm -rf "$machine"
  mkdir -p "$machine"
  # Unpacked only: nothing of it has to run for that.
  mmdebstrap --variant=extract --architecture=arm64 --include=python3.11,libstdc++6 bookworm "$machine/root.tar"
  mkdir "$machine/root"
  tar -x --exclude=./dev --no-same-owner -C "$machine/root" -f "$machine/root.tar"
  rm "$machine/root.tar"
  # All that running and testing need but ROS, which has no ARM wheels.
  (cd "$checkout/scripts" && "$python" -c 'import requirements as r; print(*r.run_requirements(["test"]), sep="\n")') |
    grep -v '^ros-' > "$machine/requirements.txt"
  "$python" -m pip install --requirement "$machine/requirements.txt" --target "$machine/packages" \
    --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64
  touch "$machine/ready"
fi

# A program in the emulation cannot start another one, as two tests do; test/isa_matrix.py --here does what one of them does.
[ $# -gt 0 ] || set -- -m pytest -p no:cacheprovider -k 'not levels_agree and not numba_compiles_for' \
  test/test_isa.py test/test_kernels.py test/test_quants.py
cd "$checkout"
PYTHONPATH=$checkout:$machine/packages exec "$qemu" -L "$machine/root" -cpu "$cpu" "$machine/root/usr/bin/python3.11" "$@"
