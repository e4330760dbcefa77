#!/usr/bin/env bash
# What trained pretrained/anime. Human face <-> anime face, 64 px: 1.8 hours on one core of an AMD EPYC with bf16 instructions.
# An epoch is 1,000 pairs.
# train/runs/anime.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/anime.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision bf16 --dynamo_backend inductor \
  train/train.py anime-compact --data "$data" --out runs/anime \
  --set batch_size=1 --set steps_per_epoch=1000 --set epochs=33 --set snapshot_every=1 --set keep_epochs=40 "$@"
