#!/bin/sh
# Tables 2-4 of the paper at a small scale: every row is trained for the same minutes, from scratch, on the same batches, and scored on
# the same validation windows. The last line of each run is its score. Rows can be run side by side, one core each.
#
#   sh recipes/ablations.sh TRAIN_PACK CUTOUTS_PACK VALIDATION_PACK OUT [MINUTES]
set -eu
train=$1 cutouts=$2 validation=$3 out=$4 minutes=${5:-20}
export OMP_NUM_THREADS=1

row() {
    stage=$1 name=$2
    shift 2
    voin train "$stage" --pack "$train" --cutouts "$cutouts" --validation "$validation" -o "$out/$name" --resume \
        --minutes "$minutes" --set sampler.partial=bmx-bumps,bus,dog-agility,soccerball "$@" > "$out/$name.log" 2>&1
    echo "$name: $(tail -n 1 "$out/$name/scores.jsonl")"
}

mkdir -p "$out"
# Table 2.
row shape shape
row shape shape-2-layers --set shape.depth=2
row shape shape-no-dice --set loss.dice_occluded=0
row shape shape-no-semantics --set shape.semantics=false
row shape shape-single-images --set shape.temporal=false
# Table 3.
row flow flow
row flow flow-direct --set flow.residual=false
row flow flow-no-guidance --set flow.guidance=false
row flow flow-no-gradients --set loss.flow_gradient=0 --set loss.flow_smoothness=0
row flow flow-no-warping --set loss.flow_warp=0
# Table 4.
row inpaint inpaint
row inpaint inpaint-plain-gating --set generator.gating=false
row inpaint inpaint-shift-1 --set generator.shifts=1
row inpaint inpaint-no-patches --set loss.patch=0
row inpaint inpaint-no-classes --set loss.category=0
row inpaint inpaint-no-attention --set class_discriminator.attention=false
