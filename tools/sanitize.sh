#!/usr/bin/env bash
# The native code under AddressSanitizer and UndefinedBehaviorSanitizer, then under ThreadSanitizer, exercised by random
# calls: bash tools/sanitize.sh [CASES]. Clean means: no report, and every case agrees with the reference.
set -euo pipefail
cd "$(dirname "$0")/.."
cases=${1:-20000}
python=.venv/bin/python
packages=$($python -c 'import sys; print(":".join(filter(None, sys.path)))')
nanobind=$($python -m nanobind --cmake_dir)
suffix=$($python -c 'import importlib.machinery as m; print(m.EXTENSION_SUFFIXES[0])')
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# PyTorch is not built for it: only what our own code touches is judged.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1

for kind in address thread; do
  place=build/sanitize-$kind
  mkdir -p "$place"
  "$(command -v cmake || echo .venv/bin/cmake)" -S native -B "$place/native" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DPython_EXECUTABLE="$PWD/$python" -Dnanobind_DIR="$nanobind" -DDROPKIT_SANITIZE=$kind \
    -DCMAKE_MAKE_PROGRAM="$(command -v ninja || echo "$PWD/.venv/bin/ninja")" > "$place/build.log"
  "$(command -v cmake || echo .venv/bin/cmake)" --build "$place/native" >> "$place/build.log"
  rm -rf "$place/dropkit"
  cp -r src/dropkit "$place/dropkit"
  rm -f "$place"/dropkit/_native*.so
  cp "$place"/native/_native*.so "$place/dropkit/_native$suffix"
  library=$(c++ -print-file-name=lib$([ $kind = address ] && echo asan || echo tsan).so)
  echo "$kind: $cases cases"
  # -S keeps an editable installation out; addresses where ThreadSanitizer expects them.
  LD_PRELOAD=$library PYTHONPATH=$place:.:$packages setarch -R $python -S -m tools.fuzz --seed 0 --cases "$cases"
done
