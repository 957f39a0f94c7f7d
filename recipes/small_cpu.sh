#!/bin/sh
# The weights `small` on two CPU cores, in hours. Stop it and start it again as you like: it goes on where it was.
# The fourth argument is the model to start from, such as `small`, the weights that ship; without it, training starts anew.
# FILMS, a folder of more clips of whole objects (CLIP/frames, CLIP/masks), and SPRITES, folders of moving objects with soft masks,
# are taken as well where they are given; all packs are made within a quarter of an hour.
#
#   sh recipes/small_cpu.sh DAVIS_ROOT CUTOUTS_ROOT OUT [small]
#
# What it printed stands in docs/training_log.md.
set -eu
davis=$1 cutouts=$2 out=$3 start=${4:-none}
export OMP_NUM_THREADS=1
# Videos of DAVIS whose own objects are hidden in part; of another set give yours, or PARTIAL= for none.
partial=${PARTIAL-bmx-bumps,bus,dog-agility,soccerball}

mkdir -p "$out"
[ -d "$out/set" ] || voin data build "$davis" -o "$out/set" --layout davis --seed 0
# To train on, no clip is too bad: those whose objects are hidden in part serve as backgrounds and occluders.
[ -d "$out/all" ] || voin data build "$davis" -o "$out/all" --layout davis --split train --most-border 1 --most-jumps 1 \
    --most-pieces 1
[ -f "$out/train.pack" ] || voin data pack "$out/all" -o "$out/train.pack"
if [ -n "${FILMS:-}" ] && [ ! -f "$out/joined.pack" ]; then
    [ -d "$out/films" ] || voin data build "$FILMS" -o "$out/films" --layout folder --split train --most-border 1 \
        --most-jumps 1 --most-pieces 1 --least-area 0
    [ -f "$out/films.pack" ] || voin data pack "$out/films" -o "$out/films.pack"
    voin data join "$out/train.pack" "$out/films.pack" -o "$out/joined.pack"
fi
# Unquoted: several folders.
[ -z "${SPRITES:-}" ] || [ -f "$out/sprites.pack" ] || voin data sprites $SPRITES -o "$out/sprites.pack"
pack=$out/train.pack
[ ! -f "$out/joined.pack" ] || pack=$out/joined.pack
[ -f "$out/validation.pack" ] || voin data pack "$out/set" -o "$out/validation.pack" --split validation
[ -f "$out/cutouts.pack" ] || voin data cutouts "$cutouts"/*/ -o "$out/cutouts.pack"

learn() {
    stage=$1
    shift
    [ "$start" = none ] || set -- "$@" --init "$start"
    # Objects that are hidden in part in the videos themselves would teach that half a dog is whole.
    [ ! -f "$out/sprites.pack" ] || set -- "$@" --sprites "$out/sprites.pack" --set sampler.sprites=0.12
    nice voin train "$stage" --pack "$pack" --cutouts "$out/cutouts.pack" \
        --validation "$out/validation.pack" -o "$out/$stage" --resume \
        --set sampler.partial="$partial" "$@"
}

# One core each: the generator beside the two others.
learn fill --minutes 85 --set loss.adversarial_from=0.5 > "$out/fill.log" 2>&1 &
fill=$!
# Shape must not learn that whatever touches the object is in front of it: things pass behind it too, some clips hide nothing, and windows drift.
learn shape --minutes 40 --set sampler.cutouts=0.5 --set sampler.damage.clips=0.15 \
    --set sampler.distractors=0.55 --set sampler.clear=0.35 --set sampler.drift=0.6
learn flow --minutes 40 --set sampler.cutouts=0.4
wait $fill || {
    tail -n 5 "$out/fill.log" >&2
    echo "failed; all it said stands in $out/fill.log" >&2
    exit 1
}

mkdir -p "$out/model"
# The generator's last weights, not its best: what the discriminators teach shows in LPIPS, not in PSNR, by which "best" goes.
cp "$out"/shape/best/* "$out"/flow/best/* "$out"/fill/last/* "$out/model/"
voin evaluate "$out/set" --model "$out/model" -o "$out/scores" \
    --methods classical,voin,voin-classical-shape,voin-classical-flow,voin-classical-fill
