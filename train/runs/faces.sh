#!/usr/bin/env bash
# What trained pretrained/faces. Noise -> face (DCGAN), 64 px, of aligned faces, averaged weights: 1.7 hours on one core of an AMD EPYC
# without bf16 instructions. An epoch is 16,000 images.
# train/runs/faces.sh DATA [options of train.py]      DATA: a folder with trainA and testA
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/faces.sh DATA}")
shift
cd "$(dirname "$0")/../.."

accelerate launch --cpu --num_processes 1 --mixed_precision no \
  train/train.py faces-dcgan-64 --data "$data" --out runs/faces --set ema=0.999 \
  --set steps_per_epoch=250 --set epochs=25 --set snapshot_every=1 --set keep_epochs=30 --set save_every=250 --set log_every=25 "$@"
