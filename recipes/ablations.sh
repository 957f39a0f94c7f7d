#!/bin/sh
# Tables 2-4 of the paper at a small scale: every row is trained for the same steps, from scratch, on the same batches, and scored on
# the same validation windows. The last line of each run is its score. Rows can be run side by side, one core each: name those wanted in ROWS.
# On cores with bfloat16, and windows of 96 pixels: hours.
#
#   sh recipes/ablations.sh TRAIN_PACK CUTOUTS_PACK VALIDATION_PACK OUT [SHAPE_STEPS FLOW_STEPS INPAINT_STEPS]
set -eu
train=$1 cutouts=$2 validation=$3 out=$4 shape_steps=${5:-1000} flow_steps=${6:-500} fill_steps=${7:-500}
export OMP_NUM_THREADS=1
# Videos of DAVIS whose own objects are hidden in part; of another set give yours, or PARTIAL= for none.
partial=${PARTIAL-bmx-bumps,bus,dog-agility,soccerball}

# Say why a run failed: what it said last.
fail() {
    tail -n 5 "$1" >&2
    echo "failed; all it said stands in $1" >&2
    exit 1
}

row() {
    stage=$1 name=$2 steps=$3
    shift 3
    case " ${ROWS:-$name} " in *" $name "*) ;; *) return 0 ;; esac
    voin train "$stage" --pack "$train" --cutouts "$cutouts" --validation "$validation" -o "$out/$name" --resume \
        --set steps="$steps" --set sampler.size=96 --set sampler.partial="$partial" \
        --set validate_minutes=60 "$@" > "$out/$name.log" 2>&1 || fail "$out/$name.log"
    echo "$name: $(tail -n 1 "$out/$name/scores.jsonl")"
}

mkdir -p "$out"
# Table 2.
row shape shape "$shape_steps"
row shape shape-2-layers "$shape_steps" --set shape.depth=2
row shape shape-no-dice "$shape_steps" --set loss.dice_occluded=0
row shape shape-no-semantics "$shape_steps" --set shape.semantics=false
row shape shape-single-images "$shape_steps" --set shape.temporal=false
row shape shape-evidence "$shape_steps" --set shape.evidence=true
# Table 3.
row flow flow "$flow_steps"
row flow flow-direct "$flow_steps" --set flow.residual=false
row flow flow-no-guidance "$flow_steps" --set flow.guidance=false
row flow flow-no-gradients "$flow_steps" --set loss.flow_gradient=0 --set loss.flow_smoothness=0
row flow flow-no-warping "$flow_steps" --set loss.flow_warp=0
# Table 4.
row fill fill "$fill_steps"
row fill fill-plain-gating "$fill_steps" --set generator.gating=false
row fill fill-shift-1 "$fill_steps" --set generator.shifts=1
row fill fill-no-patches "$fill_steps" --set loss.patch=0
row fill fill-no-classes "$fill_steps" --set loss.category=0
row fill fill-no-attention "$fill_steps" --set class_discriminator.attention=false
