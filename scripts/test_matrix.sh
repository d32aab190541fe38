#!/usr/bin/env bash
# The test suite in several environments, and one line of each at the end.
#
#     scripts/test_matrix.sh [NAME...]     # constraints newest cuda triton-3.6 triton-3.8 ...; all
#
# An environment is a folder .venv-NAME, or $MATRIX/NAME, and is made if it is not there: about 6 GB
# with a CUDA build of torch. A triton-VERSION is a folder put before that of `constraints`; it runs
# the tests of the CUDA kernels alone. Exit code 0 if all have passed.
set -uo pipefail
cd "$(dirname "$0")/.."
chosen=("${@:-}")
[ -n "${1:-}" ] || chosen=(constraints newest cuda triton-3.6 triton-3.7 triton-3.8 triton-3.9)

place() { echo "${MATRIX:-$PWD/.venv-}${MATRIX:+/}$1"; }

make_environment() {  # NAME PYTHON TORCH [pip's options...]
  local name=$1 python=$2 torch=$3 folder
  folder=$(place "$name")
  shift 3
  [ -e "$folder/.installed" ] && return
  command -v "$python" >/dev/null || { echo "there is no $python" >&2; return 1; }
  "$python" -m venv "$folder" || return 1
  local pip=("$folder/bin/python" -m pip --disable-pip-version-check --quiet)
  # torch comes first and by itself, as in the Makefile
  "${pip[@]}" install --upgrade "pip>=25.1" && "${pip[@]}" install "$@" "$torch" &&
    "${pip[@]}" install "$@" --group test --group lint --group gpu-test --editable . &&
    touch "$folder/.installed"
}

prepare() {
  case $1 in
    constraints) make_environment "$1" python3.11 torch --constraint scripts/constraints.txt ;;
    newest) make_environment "$1" python3.13 torch --upgrade ;;
    cuda) make_environment "$1" python3.11 "${CUDA_TORCH:-torch>=2.14}" ;;
    triton-*)
      prepare constraints && { [ -e "$(place "$1")" ] || "$(place constraints)/bin/python" -m pip \
        install --quiet --no-deps --target "$(place "$1")" "triton==${1#triton-}.*"; } ;;
    *) echo "unknown environment '$1'" >&2; return 1 ;;
  esac
}

run() {
  local log=$2 python tests=(tests)
  python=$(place "$1")/bin/python
  if [[ $1 == triton-* ]]; then
    python=$(place constraints)/bin/python tests=(tests/kernels/cuda)
    export PYTHONPATH=$(place "$1")
  fi
  PATH=$(dirname "$python"):$PATH "$python" -m pytest -q -n "${JOBS:-auto}" --dist loadscope \
    -p no:cacheprovider "${tests[@]}" >"$log" 2>&1
}

failed=0 summary=()
for name in "${chosen[@]}"; do
  log=$(mktemp -t "gbench-$name-XXXX.log")
  if prepare "$name" 2>"$log" && (run "$name" "$log"); then said=$(tail -n 1 "$log"); else
    failed=1 said="$(tail -n 1 "$log") (see $log)"
  fi
  summary+=("$(printf '%-12s %s' "$name" "$said")")
  echo "${summary[-1]}"
done
printf '\nin all\n'
printf '%s\n' "${summary[@]}"
exit $failed
