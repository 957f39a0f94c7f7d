#!/bin/sh
# The whole chain in about five minutes on two CPU cores: set, packs, all four trainings, a model, an evaluation.
# It shows that everything works together; its weights are worth nothing.
#
#   sh recipes/smoke.sh DAVIS_ROOT CUTOUTS_ROOT OUT
set -eu
davis=$1 cutouts=$2 out=$3
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

mkdir -p "$out"
voin data build "$davis" -o "$out/set" --layout davis --seed 0
voin data pack "$out/set" -o "$out/train.pack" --size 96
voin data pack "$out/set" -o "$out/validation.pack" --size 96 --split validation
voin data cutouts "$cutouts"/*/ -o "$out/cutouts.pack" --size 96

learn() {
    stage=$1
    shift
    voin train "$stage" --pack "$out/train.pack" --cutouts "$out/cutouts.pack" --validation "$out/validation.pack" \
        -o "$out/$stage" --set sampler.size=64 --set validation_clips=8 --set loss.adversarial_from=0.2 "$@"
}

learn shape --minutes 0.5
learn flow --minutes 0.5
learn fill --minutes 0.5
mkdir -p "$out/model"
cp "$out"/shape/best/* "$out"/flow/best/* "$out"/fill/best/* "$out/model/"
learn joint --minutes 0.5 --init "$out/model"
voin evaluate "$out/set" --methods voin,classical --model "$out/joint/best" -o "$out/scores" --clips 1
