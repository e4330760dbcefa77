#!/usr/bin/env bash
# What trained pretrained/cartoon. Celebrity photo <-> cartoon avatar, 128 px: 1.6 hours on one core of an AMD EPYC with bf16, beside other work.
# An epoch is 500 pairs. Both kinds of discriminator, no skip; identity counts in the first tenth only, against inverted colours.
# With a cycle weight of 20 in place of 10 it ended a little farther from the target domain in both directions (train/experiments/bundled-models.md).
# train/runs/cartoon.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/cartoon.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision bf16 \
  train/train.py cartoon-compact-128 --data "$data" --out runs/cartoon --set eyes_a=none \
  --set steps_per_epoch=500 --set epochs=40 --set snapshot_every=1 --set keep_epochs=40 --set save_every=250 "$@"
