#!/usr/bin/env bash
# What trained pretrained/monet. Photo <-> Monet, crops of 128 px out of images of 256: 1.2 hours on one core of an AMD EPYC with bf16,
# beside other work. An epoch is 500 pairs. Both kinds of discriminator, and a skip: the network starts as a copy and adds what changes.
# After 14 epochs it was still getting better, so the same run was made longer.
# train/runs/monet.sh DATA [options of train.py]      DATA: a folder with trainA, trainB, testA, testB
set -euo pipefail
data=$(realpath "${1:?a folder of images is missing: train/runs/monet.sh DATA}")
shift
cd "$(dirname "$0")/../.."

run() {
  accelerate launch --cpu --num_processes 1 --mixed_precision bf16 \
    train/train.py monet-compact-128 --data "$data" --out runs/monet \
    --set steps_per_epoch=500 --set epochs=14 --set snapshot_every=1 --set keep_epochs=40 --set save_every=250 "$@"
}
run "$@"
run --extend epochs=22 "$@"
