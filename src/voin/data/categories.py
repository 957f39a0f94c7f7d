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

# DAVIS 2016 has one object a sequence. Where it is several things (a rider on a bike), it goes by the larger one that
# has a name here.
_WHOLE: dict[str, str | None] = {
    "bmx-bumps": "bike",
    "bmx-trees": "bike",
    "hockey": "person",
    "horsejump-high": "horse",
    "horsejump-low": "horse",
    "kite-surf": "person",
    "kite-walk": "person",
    "motocross-bumps": "motorbike",
    "motocross-jump": "motorbike",
    "motorbike": "motorbike",
    "paragliding": "parachute",
    "paragliding-launch": "person",
    "scooter-black": "motorbike",
    "scooter-gray": "motorbike",
    "soapbox": None,
    "stroller": "person",
    "surf": "person",
    "swing": "person",
    "tennis": "person",
    "train": "train",
}
# DAVIS 2017: the objects of each sequence in the order of their ids; None where no category fits (a goat, a kite).
_OBJECTS: dict[str, tuple[str | None, ...]] = {
    "bear": ("bear",),
    "bike-packing": ("bike", "person"),
    "blackswan": ("bird",),
    "bmx-bumps": ("bike", "person"),
    "bmx-trees": ("bike", "person"),
    "boat": ("boat",),
    "boxing-fisheye": ("person",) * 3,
    "breakdance": ("person",),
    "breakdance-flare": ("person",),
    "bus": ("bus",),
    "camel": ("camel",),
    "car-roundabout": ("sedan",),
    "car-shadow": ("sedan",),
    "car-turn": ("sedan",),
    "cat-girl": ("person", "cat"),
    "classic-car": ("person", "person", "sedan"),
    "color-run": ("person",) * 3,
    "cows": ("cow",),
    "crossing": ("person", "person", "truck"),
    "dance-jump": ("person",),
    "dance-twirl": ("person",),
    "dancing": ("person",) * 3,
    "disc-jockey": ("person", "person", None),
    "dog": ("dog",),
    "dog-agility": ("dog",),
    "dog-gooses": ("dog", "bird", "bird", "bird", "bird"),
    "dogs-jump": ("dog", "dog", "person"),
    "dogs-scale": ("dog", "dog", "person", None),
    "drift-chicane": ("sedan",),
    "drift-straight": ("sedan",),
    "drift-turn": ("sedan",),
    "drone": (None, None, "person", None, "person"),
    "elephant": ("elephant",),
    "flamingo": ("bird",),
    "goat": (None,),
    "gold-fish": ("fish",) * 5,
    "hike": ("person",),
    "hockey": ("person", None, None),
    "horsejump-high": ("horse", "person"),
    "horsejump-low": ("horse", "person"),
    "india": ("person",) * 3,
    "judo": ("person",) * 2,
    "kid-football": ("person", None),
    "kite-surf": (None, "surfboard", "person"),
    "kite-walk": (None, "person", "surfboard"),
    "koala": (None,),
    "lab-coat": (None, None, "person", "person", "person"),
    "lady-running": ("person", None),
    "libby": ("dog",),
    "lindy-hop": ("person",) * 8,
    "loading": ("person", None, "person"),
    "longboard": (None, "bike", "skateboard", "person", "person"),
    "lucia": ("person",),
    "mallard-fly": ("duck",),
    "mallard-water": ("duck",),
    "mbike-trick": ("person", "motorbike"),
    "miami-surf": ("person", "surfboard") * 3,
    "motocross-bumps": ("person", "motorbike"),
    "motocross-jump": ("person", "motorbike"),
    "motorbike": ("motorbike", "person", "person"),
    "night-race": ("sedan",) * 2,
    "paragliding": ("person", "parachute"),
    "paragliding-launch": (None, "person", "parachute"),
    "parkour": ("person",),
    "pigs": (None,) * 3,
    "planes-water": ("airplane",) * 2,
    "rallye": ("sedan",),
    "rhino": (None,),
    "rollerblade": ("person",),
    "schoolgirls": ("person", None, "person", None, "person", None, "person"),
    "scooter-black": ("person", "motorbike"),
    "scooter-board": ("person", None),
    "scooter-gray": ("motorbike", "person"),
    "sheep": ("sheep",) * 5,
    "shooting": (None, "person", None),
    "skate-park": ("person", "skateboard"),
    "snowboard": ("snowboard", "person"),
    "soapbox": (None, "person", "person"),
    "soccerball": (None,),
    "stroller": ("person", None),
    "stunt": (None, "person"),
    "surf": ("surfboard", "person", None),
    "swing": ("person", None, None),
    "tennis": ("person", "tennis_racket"),
    "tractor-sand": (None, "person", None),
    "train": ("train",) * 4,
    "tuk-tuk": ("person",) * 3,
    "upside-down": ("person",) * 2,
    "varanus-cage": ("lizard",),
    "walking": ("person",) * 2,
}
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
        return _WHOLE.get(sequence, objects[0] if objects else None)
    return objects[object_id - 1] if object_id <= len(objects) else None
