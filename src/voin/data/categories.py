"""What objects are called: the 65 categories of YouTube-VOS, and what the objects of DAVIS are in these words.

None stands for an object that is none of them, or of which nobody knows: methods take it for "an object".
"""

from __future__ import annotations

# As the `meta.json` of YouTube-VOS writes them (training videos of 2018 and 2019).
CATEGORIES: tuple[str, ...] = (
    *("airplane", "ape", "bear", "bike", "bird", "boat", "bucket", "bus", "camel", "cat", "cow", "crocodile", "deer"),
    *("dog", "dolphin", "duck", "eagle", "earless_seal", "elephant", "fish", "fox", "frisbee", "frog", "giant_panda"),
    *("giraffe", "hand", "hat", "hedgehog", "horse", "knife", "leopard", "lion", "lizard", "monkey", "motorbike"),
    *("mouse", "others", "owl", "paddle", "parachute", "parrot", "penguin", "person", "plant", "rabbit", "raccoon"),
    *("sedan", "shark", "sheep", "sign", "skateboard", "snail", "snake", "snowboard", "squirrel", "surfboard"),
    *("tennis_racket", "tiger", "toilet", "train", "truck", "turtle", "umbrella", "whale", "zebra"),
)

# What DAVIS 2017 shows: the objects of a sequence in the order of their ids ("-" where no category fits, such as a goat
# or a kite), and the sequences that show these.
_SEQUENCES: dict[str, str] = {
    "person": "breakdance breakdance-flare dance-jump dance-twirl hike lucia parkour rollerblade",
    "sedan": "car-roundabout car-shadow car-turn drift-chicane drift-straight drift-turn rallye",
    "-": "goat koala rhino soccerball",
    "dog": "dog dog-agility libby",
    "bird": "blackswan flamingo",
    "duck": "mallard-fly mallard-water",
    "bear": "bear",
    "boat": "boat",
    "bus": "bus",
    "camel": "camel",
    "cow": "cows",
    "elephant": "elephant",
    "lizard": "varanus-cage",
    "person -": "kid-football lady-running scooter-board stroller",
    "person motorbike": "mbike-trick motocross-bumps motocross-jump scooter-black",
    "bike person": "bike-packing bmx-bumps bmx-trees",
    "person person": "judo upside-down walking",
    "horse person": "horsejump-high horsejump-low",
    "- person": "stunt",
    "airplane airplane": "planes-water",
    "motorbike person": "scooter-gray",
    "person cat": "cat-girl",
    "person parachute": "paragliding",
    "person skateboard": "skate-park",
    "person tennis_racket": "tennis",
    "sedan sedan": "night-race",
    "snowboard person": "snowboard",
    "person person person": "boxing-fisheye color-run dancing india tuk-tuk",
    "- person -": "shooting tractor-sand",
    "person - -": "hockey swing",
    "- - -": "pigs",
    "- person parachute": "paragliding-launch",
    "- person person": "soapbox",
    "- person surfboard": "kite-walk",
    "- surfboard person": "kite-surf",
    "dog dog person": "dogs-jump",
    "motorbike person person": "motorbike",
    "person - person": "loading",
    "person person -": "disc-jockey",
    "person person sedan": "classic-car",
    "person person truck": "crossing",
    "surfboard person -": "surf",
    "dog dog person -": "dogs-scale",
    "train train train train": "train",
    "- - person - person": "drone",
    "- - person person person": "lab-coat",
    "- bike skateboard person person": "longboard",
    "dog bird bird bird bird": "dog-gooses",
    "fish fish fish fish fish": "gold-fish",
    "sheep sheep sheep sheep sheep": "sheep",
    "person surfboard person surfboard person surfboard": "miami-surf",
    "person - person - person - person": "schoolgirls",
    "person person person person person person person person": "lindy-hop",
}
# DAVIS 2016 has one object a sequence. Where it is several things (a rider on a bike), it goes by the larger one that
# has a name here.
_MERGED: dict[str, str] = {
    "person": "hockey kite-surf kite-walk paragliding-launch stroller surf swing tennis",
    "motorbike": "motocross-bumps motocross-jump motorbike scooter-black scooter-gray",
    "bike": "bmx-bumps bmx-trees",
    "horse": "horsejump-high horsejump-low",
    "-": "soapbox",
    "parachute": "paragliding",
    "train": "train",
}


def _by_sequence(table: dict[str, str]) -> dict[str, tuple[str | None, ...]]:
    parsed = [(tuple(None if name == "-" else name for name in key.split()), names) for key, names in table.items()]
    return {sequence: objects for objects, names in parsed for sequence in names.split()}


_OBJECTS, _WHOLE = _by_sequence(_SEQUENCES), _by_sequence(_MERGED)
DAVIS_SEQUENCES = tuple(_OBJECTS)


def known_category(name: str | None) -> str | None:
    """Return `name` if it is one of `CATEGORIES`, else None."""
    return name if name in CATEGORIES else None


def davis_category(sequence: str, object_id: int) -> str | None:
    """Return what an object of DAVIS is, in the words of YouTube-VOS.

    Args:
        sequence: such as "blackswan".
        object_id: as in DAVIS 2017; 0 for all that is marked, the one object of DAVIS 2016.

    Returns:
        One of `CATEGORIES`; None where none of them fits, or the sequence is not in DAVIS.
    """
    objects = _OBJECTS.get(sequence, ())
    if object_id == 0:
        objects, object_id = _WHOLE.get(sequence, objects), 1
    return objects[object_id - 1] if object_id <= len(objects) else None
