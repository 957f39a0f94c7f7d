#!/bin/sh
# Every table and figure of the paper that a set of one's own can give, and our own ablations: `voin reproduce` for each, two at
# a time, one core each. What is finished is kept: the same command goes on. `make paper` calls it.
#
#   sh recipes/paper_tables.sh SET TRAIN_PACK OUT [BUDGET]
#
# BUDGET are the core-minutes of a row (30). 29 budgets are trained in all, and every row is judged: with 30, a night on two cores.
# Variables: CUTOUTS, SPRITES, VALIDATION, LPIPS (AlexNet's weights) and RAFT (RAFT-small's, the flow that is taken for true) are
# files, SEEDS a number (1), VIDEO with MASKS and OCCLUDER the clip of Figure 11. PLAN=1 prints what would be trained, and stops.
set -eu
set=$1 pack=$2 out=$3 budget=${4:-30}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# Videos of DAVIS whose own objects are hidden in part; of another set give yours, or PARTIAL= for none.
partial=${PARTIAL-bmx-bumps,bus,dog-agility,soccerball}

reproduce() {
    what=$1
    shift
    voin reproduce "$what" --set "$set" --pack "$pack" ${CUTOUTS:+--cutouts "$CUTOUTS"} ${SPRITES:+--sprites "$SPRITES"} \
        ${VALIDATION:+--validation "$VALIDATION"} ${LPIPS:+--lpips-weights "$LPIPS"} \
        ${RAFT:+--flow-truth raft-small --flow-truth-weights "$RAFT"} --budget "$budget" --seeds "${SEEDS:-1}" \
        --change sampler.partial="$partial" --device cpu ${PLAN:+--plan} -o "$out" "$@"
}

# One after the other, until one fails.
chain() { for one; do reproduce "$one"; done; }

if [ -n "${PLAN:-}" ]; then
    chain table1 table2 table3 table4 own-shape own-fill
    exit
fi
chain table1 table3 own-fill &
first=$!
chain table2 table4 own-shape &
second=$!
status=0
for process in "$first" "$second"; do wait "$process" || status=$?; done
[ "$status" = 0 ] || exit "$status"
chain figure6 figure7 figure8 figure9 figure10
[ -z "${VIDEO:-}" ] || reproduce figure11 --video "$VIDEO" --masks "$MASKS" --occluder "$OCCLUDER"
