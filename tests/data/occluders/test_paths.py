from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from voin.data.occluders.paths import PATH_KINDS, PATH_NUMBERS, PathConfig, Paths, Track, draw_paths, find_track

CONFIG = PathConfig()
T = 48


def square(lefts: list[int], side: int = 20, size: tuple[int, int] = (64, 128)) -> Tensor:
    amodal = torch.zeros(1, len(lefts), *size, dtype=torch.bool)
    for i, left in enumerate(lefts):
        amodal[0, i, 20 : 20 + side, left : left + side] = True
    return amodal


def steady(count: int = T) -> Track:
    return find_track(square([10 + i for i in range(count)]), CONFIG)


def paths(
    config: PathConfig = CONFIG, free: float = 0.0, hidden: float = 0.0, objects: bool = True, tries: int = 24
) -> Paths:
    numbers = torch.rand(1, tries, PATH_NUMBERS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gone, covered = torch.tensor([free], dtype=torch.float64), torch.tensor([hidden], dtype=torch.float64)
    return draw_paths(numbers, steady(), gone, covered, objects, config)


def only(kind: str) -> PathConfig:
    crossing, following, resting, oscillating = (float(each == kind) for each in PATH_KINDS)
    return replace(CONFIG, shares=(crossing, following, resting, oscillating))


def test_the_track_follows_steady_motion() -> None:
    track = steady()
    expected = torch.arange(T) + 10 + 9.5
    inner = slice(12, -12)  # the ends are smoothed towards the middle
    torch.testing.assert_close(track.centre[0, inner, 0], expected[inner].double(), atol=0.02, rtol=0)
    torch.testing.assert_close(track.centre[0, :, 1], torch.full((T,), 29.5).double())
    torch.testing.assert_close(track.half, torch.full((1, T, 2), 10.0).double())


def test_the_track_holds_the_last_place_where_there_is_no_object() -> None:
    amodal = square([30] * T)
    amodal[0, 20:] = False
    amodal[0, :4] = False
    track = find_track(amodal, CONFIG)
    assert track.there[0].tolist() == [4 <= i < 20 for i in range(T)]
    torch.testing.assert_close(track.centre[0, :, 0], torch.full((T,), 39.5).double())


def test_a_clip_without_an_object_has_a_track_in_the_middle() -> None:
    track = find_track(square([0] * 3) & False, CONFIG)
    torch.testing.assert_close(track.centre[0, 1], torch.tensor([64.0, 32.0]).double())
    assert not track.there.any()


def test_all_kinds_of_path_are_drawn_and_the_last_follows() -> None:
    kinds = paths(tries=60).kinds[0]
    assert set(kinds.tolist()) == {0, 1, 2, 3}
    assert PATH_KINDS[kinds[-1]] == "following"


def test_positions_are_whole_parts_of_a_pixel() -> None:
    drawn = paths(free=0.2, hidden=0.1)
    for each in (drawn.base, drawn.away, drawn.leave, drawn.half, drawn.turned, drawn.phases, drawn.most):
        assert torch.equal(each, (each * 4096).round() / 4096)


def test_no_path_is_faster_than_it_may_be() -> None:
    drawn = paths()
    speed = drawn.away.diff(dim=2).norm(dim=-1).amax(dim=-1)
    assert (speed * drawn.most).max() <= CONFIG.speed * 1.01
    assert (drawn.least <= drawn.most).all()


def test_what_crosses_comes_from_one_side_and_goes_to_the_other() -> None:
    away = paths(only("crossing")).away[0, :-1]
    way = away[:, -1] - away[:, 0]
    steps = (away.diff(dim=1) * way[:, None]).sum(dim=-1) / way.norm(dim=-1)[:, None]
    assert way.norm(dim=-1).min() > 0.5
    # Uneven, but onwards nearly always.
    assert (steps > 0).float().mean() > 0.9


def test_what_follows_stays_beside_the_object() -> None:
    drawn = paths(only("following"))
    assert (drawn.base == steady().centre[:, None]).all()
    assert (drawn.away.norm(dim=-1) - 1).abs().max() < 0.4


def test_what_rests_stays_behind_when_the_object_moves_on() -> None:
    base = paths(only("resting")).base[0, :-1, :, 0]
    travelled = base[:, -1] - base[:, 0]
    assert travelled.min() > -0.1
    assert travelled.max() <= 0.5 * (T - 1) + 1


def test_what_oscillates_turns_back() -> None:
    away = paths(only("oscillating")).away[0, :-1]
    steps = away.diff(dim=1)
    along = (steps * steps[:, :1]).sum(dim=-1)
    assert ((along < 0).any(dim=1)).float().mean() > 0.8


def test_free_frames_are_asked_of_all_tries_but_the_last_two() -> None:
    drawn = paths(free=0.25)
    gone = drawn.leave.norm(dim=-1)[0]
    assert ((gone > 1.5).float().mean(dim=1)[:-2] >= 0.25).all()
    assert (gone[-2:] == 0).all()
    assert gone.diff(dim=1).abs().max() < 0.3


def test_to_hide_all_the_occluder_comes_right_before_the_object() -> None:
    near = paths(hidden=0.1).away.norm(dim=-1)[0, :-2]
    assert ((near < 0.02).float().mean(dim=1) >= 0.1).all()
    assert (near.amax(dim=1) > 0.3).all()


def test_objects_stay_upright() -> None:
    turned = paths(objects=True).turned[0]
    angle = torch.atan2(turned[..., 0, 1], turned[..., 0, 0])
    assert angle.abs().max() <= CONFIG.turn + 0.01
    drawn = paths(objects=False).turned[0]
    assert torch.atan2(drawn[..., 0, 1], drawn[..., 0, 0]).abs().max() > 1


def test_turning_and_stretching_keep_the_area() -> None:
    turned = paths(objects=False).turned
    torch.testing.assert_close(torch.linalg.det(turned), torch.ones(turned.shape[:3]).double(), atol=2e-3, rtol=0)


def test_a_path_does_not_depend_on_its_neighbours() -> None:
    numbers = torch.rand(5, 7, PATH_NUMBERS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    track = find_track(torch.cat([square([10 + i + k for k in range(T)]) for i in range(5)]), CONFIG)
    wish = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.0]).double()
    together = draw_paths(numbers, track, wish, wish.flip(0), True, CONFIG)
    for i in range(5):
        part = slice(i, i + 1)
        own = Track(track.centre[part], track.half[part], track.there[part])
        alone = draw_paths(numbers[part], own, wish[part], wish.flip(0)[part], True, CONFIG)
        for name in ("base", "away", "leave", "half", "turned", "phases", "waves", "bend", "most"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[i]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": (0.0, 0.0, 0.0, 0.0)}, "one share"),
        ({"period": (9.0, 3.0)}, "least <= most"),
        ({"speed": 0.0}, "must be finite, above 0"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)  # pyright: ignore[reportArgumentType]
