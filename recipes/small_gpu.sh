#!/bin/sh
# The weights `small` on one big GPU in 25 minutes, all stages; it can be parted into calls of ten minutes, since it goes
# on where it was. It starts from the weights that ship; "none" starts anew.
#
#   sh recipes/small_gpu.sh TRAIN_PACK CUTOUTS_PACK VALIDATION_PACK OUT [small|none]
#
# Packs are carried in their small form (`voin data pack --transport`) and unpacked there (`voin data unpack`).
# It has not been run yet: no figure stands in docs/training_log.md for it.
set -eu
train=$1 cutouts=$2 validation=$3 out=$4 start=${5:-small}

mkdir -p "$out"
learn() {
    stage=$1
    shift
    [ "$start" = none ] || set -- "$@" --init "$start"
    voin train "$stage" --pack "$train" --cutouts "$cutouts" --validation "$validation" -o "$out/$stage" --resume \
        --device cuda --set sampler.partial=bmx-bumps,bus,dog-agility,soccerball --set sampler.batch=24 \
        --set validate_minutes=1.5 --set save_minutes=1 "$@"
}

learn shape --minutes 5 --set sampler.cutouts=0.5 --set sampler.damage.clips=0.15
learn flow --minutes 6 --set sampler.cutouts=0.4
learn inpaint --minutes 9
mkdir -p "$out/model"
cp "$out"/shape/best/* "$out"/flow/best/* "$out"/inpaint/last/* "$out/model/"
start="$out/model"
learn joint --minutes 5 --set optimizer.rate=0.0002
