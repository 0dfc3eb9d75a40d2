#!/usr/bin/env bash
# Everything that waits for a GPU, in one go: the flagged cells of every notebook, then the gpu preset with three seeds.
# Results: benchmarks/gpu.json, with the name of the device. Run from the root of the repository after `make install`.
# Set NANOGPT to a checkout of nanoGPT and TEXT to tinyshakespeare.txt to measure training beside nanoGPT and on that text, too, and LITGPT=1 for an installed litgpt.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -c "import torch; assert torch.cuda.is_available(), 'no CUDA device'; print(torch.cuda.get_device_name())"
.venv/bin/nbdev_test --flags cuda --n_workers 0
.venv/bin/python -m pytest tests -m cuda || test $? -eq 5
.venv/bin/python benchmarks/runs.py gpu --seeds 0 1 2 --until pretrain --folder runs/bench
.venv/bin/python benchmarks/kernels_gpu.py
.venv/bin/python benchmarks/train_gpu.py ${NANOGPT:+--nanogpt "$NANOGPT"} ${LITGPT:+--litgpt} ${TEXT:+--text "$TEXT"}
