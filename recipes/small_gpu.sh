#!/bin/sh
# The weights `small` on one big GPU beside 16 CPU cores in ten minutes: all three networks at once, since batches are made by
# the CPU cores and the GPU has room for all of them. It goes on where it was, so it can be parted into calls.
# It starts from the weights that ship; "none" starts anew.
#
#   sh recipes/small_gpu.sh TRAIN_PACK CUTOUTS_PACK VALIDATION_PACK ALEXNET OUT [MINUTES] [small|none]
#
# Packs are carried in their small form (`voin data pack --transport`) and unpacked there (`voin data unpack`); ALEXNET is
# what LPIPS looks through (torchvision's own weights as a file; it looks at squares around the hidden part since, at whole
# windows when this was run). What these commands printed stands in docs/training_log.md.
set -eu
train=$1 cutouts=$2 validation=$3 alexnet=$4 out=$5 minutes=${6:-8.2} start=${7:-small}
# Videos of DAVIS whose own objects are hidden in part; of another set give yours, or PARTIAL= for none.
partial=${PARTIAL-bmx-bumps,bus,dog-agility,soccerball}

# Say why a run failed: what it said last.
fail() {
    tail -n 5 "$1" >&2
    echo "failed; all it said stands in $1" >&2
    exit 1
}

mkdir -p "$out"
learn() {
    stage=$1
    shift
    [ "$start" = none ] || set -- "$@" --init "$start"
    voin train "$stage" --pack "$train" --cutouts "$cutouts" --validation "$validation" -o "$out/$stage" --resume \
        --device cuda --minutes "$minutes" --set sampler.partial="$partial" \
        --set validate_minutes=2.7 --set save_minutes=3 --set log_steps=100 "$@" > "$out/$stage.log" 2>&1
}

# Threads are shared by a run's workers.
OMP_NUM_THREADS=1 learn shape --workers 2 --set echoes=2 --set sampler.batch=24 --set sampler.cutouts=0.5 \
    --set sampler.damage.clips=0.15 --set optimizer.rate=0.0004 &
shape=$!
OMP_NUM_THREADS=8 learn flow --workers 4 --set echoes=4 --set sampler.batch=24 --set sampler.cutouts=0.5 \
    --set optimizer.rate=0.0005 &
flow=$!
OMP_NUM_THREADS=8 learn fill --workers 5 --set echoes=4 --set sampler.batch=12 --set sampler.size=192 \
    --set simulated_propagation.share=0.3 --lpips-weights "$alexnet" --set loss.perceptual=4 --set loss.adversarial_from=0.35 \
    --set optimizer.rate=0.0005 &
fill=$!
wait $shape || fail "$out/shape.log"
wait $flow || fail "$out/flow.log"
wait $fill || fail "$out/fill.log"
tail -n 2 "$out"/*.log

mkdir -p "$out/model"
cp "$out"/shape/last/* "$out"/flow/last/* "$out"/fill/last/* "$out/model/"
