#!/usr/bin/env bash
# What trained pretrained/cartoon. Celebrity photo <-> cartoon avatar, 64 px: 2.0 hours on one core of an AMD EPYC without bf16 instructions.
# An epoch is 1,000 pairs. Identity counts in the first tenth only, against inverted colours.
# train/runs/cartoon.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/cartoon.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision no \
  train/train.py cartoon-compact --data "$data" --out runs/cartoon \
  --set batch_size=1 --set steps_per_epoch=1000 --set epochs=30 --set snapshot_every=1 --set keep_epochs=40 \
  --set log_every=100 --set identity_a=0 --set identity_b=0 "$@"
