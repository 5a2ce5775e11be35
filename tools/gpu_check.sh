#!/usr/bin/env bash
# What only a machine with a CUDA card can check: bash tools/gpu_check.sh FOLDER
# Needs torch with CUDA, Triton, pytest, hypothesis, numpy; builds the extension if a compiler and cmake are there.
set -uo pipefail
cd "$(dirname "$0")/.."
into=${1:?name a folder for the results}
mkdir -p "$into"
export PYTHONPATH="$PWD/src:$PWD" OMP_NUM_THREADS=8 PYTHONUNBUFFERED=1
python3 -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())' | tee "$into/card.txt"
built=build/gpu
if cmake -S native -B $built -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKBUILD_STATE=editable \
    -DPython_EXECUTABLE="$(command -v python3)" -Dnanobind_DIR="$(python3 -m nanobind --cmake_dir)" >"$into/build.txt" 2>&1 &&
  ninja -C $built >>"$into/build.txt" 2>&1; then echo "extension built"; else echo "no extension: the twin serves"; fi
options=(-q -p no:cacheprovider -o addopts=--import-mode=importlib -o minversion=0 -W default --durations=5 -n 4)
timeout "${TESTS_S:-240}" python3 -m pytest "${options[@]}" tests/cuda_test.py src/dropkit/torch/triton_test.py \
  >"$into/tests.txt" 2>&1
tail -60 "$into/tests.txt" | cut -c1-220
timeout "${BENCH_S:-150}" python3 -m benchmarks.gpu --into "$into" 2>&1 | tail -60
