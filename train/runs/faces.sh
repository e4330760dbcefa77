#!/usr/bin/env bash
# What trained pretrained/faces. Noise -> face (DCGAN), 64 px: 1.1 hours on one core of an AMD EPYC without bf16 instructions.
# An epoch is one pass.
# train/runs/faces.sh DATA [options of train.py]      DATA: a folder with trainA and testA
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/faces.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision no \
  train/train.py faces-dcgan-64 --data "$data" --out runs/faces --set eyes=none \
  --set epochs=25 --set snapshot_every=1 --set keep_epochs=30 --set log_every=25 "$@"
