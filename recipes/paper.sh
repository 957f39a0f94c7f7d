#!/bin/sh
# The paper's networks at the paper's size, on several GPUs, on YouTube-VOS. It takes days, and has not been run: the
# data and the machines were not at hand. Whole frames of 384x216, crops of 320x180 in training, the paper's terms; the
# weights of terms and the length of runs stand in the paper's supplement, which was not at hand either.
#
#   sh recipes/paper.sh YOUTUBE_VOS_ROOT OUT GPUS RAFT_LARGE_WEIGHTS
#
# RAFT_LARGE_WEIGHTS is the state dict of torchvision's raft_large as a file: it finds the flow that is taken for true.
set -eu
source=$1 out=$2 gpus=$3 raft=$4
[ -f "$raft" ] || { echo "$raft is no file; give the weights of RAFT" >&2; exit 2; }

mkdir -p "$out"
[ -d "$out/set" ] || voin data build "$source" -o "$out/set" --layout youtube-vos --least-size 640x480 --seed 0
for split in train validation; do
    [ -f "$out/$split.pack" ] ||
        voin data pack "$out/set" -o "$out/$split.pack" --whole-frames --size 384 --split "$split"
done

learn() {
    stage=$1
    shift
    voin train "$stage" --preset paper --pack "$out/train.pack" --validation "$out/validation.pack" -o "$out/$stage" \
        --raft-weights "$raft" --truth-cache "$out/truth" --resume --device cuda --devices "$gpus" "$@"
}

learn shape
learn flow
learn fill
mkdir -p "$out/model"
cp "$out"/shape/best/* "$out"/flow/best/* "$out"/fill/best/* "$out/model/"
learn joint --init "$out/model" --set steps=100000
voin evaluate "$out/set" --methods voin --model "$out/joint/best" --preset paper --flow-truth raft-large \
    --flow-truth-weights "$raft" -o "$out/scores"
