#!/usr/bin/env bash
# What trained pretrained/smile. Not smiling <-> smiling, 96 px: 3.1 hours beside other work on one core of an AMD EPYC with bf16.
# An epoch is 1,000 pairs. Both kinds of discriminator, and a global skip: the network begins as a copy and adds what changes.
# train/runs/smile.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/smile.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision bf16 \
  train/train.py smile-compact-128 --data "$data" --out runs/smile --set eyes_a=none --set eyes_b=none \
  --set image_size=96 --set load_size=104 \
  --set steps_per_epoch=1000 --set epochs=16 --set snapshot_every=1 --set keep_epochs=20 --set save_every=250 "$@"
