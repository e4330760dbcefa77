#!/usr/bin/env bash
# What trained pretrained/monet. Photo <-> Monet, 64 px: 2.2 hours on one core of an AMD EPYC without bf16 instructions.
# An epoch is 1,000 pairs. Two stages, as for smile.
# train/runs/monet.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/monet.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision no \
  train/train.py monet-compact --data "$data" --out runs/monet-first --max-steps 12000 \
  --set batch_size=1 --set steps_per_epoch=1000 --set epochs=30 --set snapshot_every=1 --set keep_epochs=40 \
  --set log_every=100 --set identity_a=0 --set identity_b=2.5 --set disc_channels=32,64,128 \
  --set disc_lr_factor=0.5 --set source_negatives=0 "$@"

accelerate launch --cpu --num_processes 1 --mixed_precision no \
  train/train.py monet-compact --data "$data" --out runs/monet --init runs/monet-first/epochs/epoch-012 \
  --set batch_size=1 --set steps_per_epoch=1000 --set epochs=18 --set snapshot_every=1 --set keep_epochs=40 \
  --set log_every=100 --set identity_a=0 --set identity_b=0 --set identity_start=none --set identity_warmup=0 "$@"
