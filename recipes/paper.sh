#!/bin/sh
# The paper's networks at the paper's size, on several GPUs, on YouTube-VOS. It takes days, and has not been run: the
# data and the machines were not at hand.
#
#   sh recipes/paper.sh YOUTUBE_VOS_ROOT OUT GPUS
set -eu
source=$1 out=$2 gpus=$3

mkdir -p "$out"
[ -d "$out/set" ] || voin data build "$source" -o "$out/set" --layout youtube-vos --seed 0
[ -f "$out/train.pack" ] || voin data pack "$out/set" -o "$out/train.pack" --size 320
[ -f "$out/validation.pack" ] || voin data pack "$out/set" -o "$out/validation.pack" --size 320 --split validation

learn() {
    stage=$1
    shift
    voin train "$stage" --preset paper --pack "$out/train.pack" --validation "$out/validation.pack" -o "$out/$stage" \
        --resume --device cuda --devices "$gpus" "$@"
}

learn shape
learn flow
learn fill
mkdir -p "$out/model"
cp "$out"/shape/best/* "$out"/flow/best/* "$out"/fill/best/* "$out/model/"
learn joint --init "$out/model" --set steps=100000
voin evaluate "$out/set" --methods voin --model "$out/joint/best" -o "$out/scores"
