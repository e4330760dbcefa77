#!/usr/bin/env bash
# What trained pretrained/anime. Human face <-> anime face, 128 px: 1.7 hours on one core of an AMD EPYC with bf16, beside other work.
# An epoch is 500 pairs. Both kinds of discriminator, no skip; identity counts in the first tenth only, against inverted colours.
# After 26 epochs it was still getting better, so the same run was made longer.
# train/runs/anime.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/anime.sh DATA}")
shift
cd "$(dirname "$0")/../.."

run() {
  accelerate launch --cpu --num_processes 1 --mixed_precision bf16 \
    train/train.py anime-compact-128 --data "$data" --out runs/anime --set eyes_a=none \
    --set steps_per_epoch=500 --set epochs=26 --set snapshot_every=1 --set keep_epochs=40 --set save_every=250 "$@"
}
run "$@"
run --extend epochs=34 "$@"
