"""Interlaced video, whose frames hold the lines of two moments: which comes first, whole frames of them, their tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph
from av.video.stream import VideoStream

from voin.io.colour.samples import FieldOrder

_TICK = Fraction(1, 25)  # of the frames' numbers inside a filter; any will do
# FFmpeg's numbers of what a file says, by the field that is shown first.
_ORDERS: dict[int, FieldOrder] = {2: "top", 3: "bottom", 4: "bottom", 5: "top"}
_MODES = {"top": "tff", "bottom": "bff"}
# What encoders must be told beside the tag of each frame; others have no tag.
_OPTIONS = {
    "libx264": {"flags": "+ildct+ilme"},
    "libx264rgb": {"flags": "+ildct+ilme"},
    "prores_ks": {"flags": "+ildct"},
    "ffv1": {"flags": "+ildct"},
    "libx265": {},
}


def read_fields(frames: Sequence[av.VideoFrame], stream: VideoStream) -> tuple[FieldOrder, bool]:
    """Return which field of some decoded frames is shown first, and whether the frames themselves say so."""
    marked = next((frame for frame in frames if frame.interlaced_frame), None)
    if marked is None:
        return _ORDERS.get(int(stream.codec_context.field_order or 0), ""), False
    # PyAV does not show the order of a frame, but this filter lets only those through that have it.
    graph = _graph(marked, "select", expr="eq(interlace_type,TOPFIRST)")
    graph.vpush(marked)
    return "top" if list(_pulled(graph)) else "bottom", True


def make_whole(
    frames: Iterable[tuple[int, av.VideoFrame | None]], fields: FieldOrder, marked: bool
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Make whole frames of interlaced ones, by FFmpeg's bwdif: the missing lines of the first field's moment.

    Args:
        frames: with their numbers; each looks at the ones before and after it. Those of another size are left alone.
        fields: the field that is shown first; "" is taken for top.
        marked: only frames that say so are interlaced, not all.
    """
    graph, layout = None, ()
    for number, frame in frames:
        if frame is None:
            continue
        found = (frame.width, frame.height, frame.format.name)
        if graph is None:
            how = {"mode": "send_frame", "parity": _MODES[fields or "top"], "deint": "interlaced" if marked else "all"}
            graph, layout = _graph(frame, "bwdif", **how), found
        if found != layout:
            yield number, frame
            continue
        frame.pts, frame.time_base = number, _TICK
        graph.vpush(frame)
        yield from _numbered(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _numbered(graph)


def encoder_options(encoder: str, fields: FieldOrder) -> dict[str, str]:
    """Return what an encoder is told of interlaced frames; nothing where they are not, or it has no tag for them."""
    if not fields or encoder not in _OPTIONS:
        return {}
    return {"field_order": "tt" if fields == "top" else "bb", **_OPTIONS[encoder]}


def fields_words(fields: FieldOrder, deinterlace: bool, encoder: str | None) -> str:
    """Return in words what becomes of interlaced frames; "" where there is nothing to say.

    Args:
        fields: the field of the source that is shown first.
        deinterlace: whole frames are made.
        encoder: of what is written; "" for pictures, None where frames are only looked at.
    """
    if not fields:
        assumed = "Nothing says that the video is interlaced: all its frames are taken for it, top field first"
        return f"{assumed} (--deinterlace)" if deinterlace else ""
    said = f"Interlaced, {fields} field first"
    if deinterlace:
        return f"{said}: whole frames are made of it (--deinterlace)"
    if encoder is None:
        done = "looked at as it is"
    else:
        done = f"kept as it is, {'with its tag' if encoder in _OPTIONS else 'though what is written cannot say so'}"
    return f"{said}: {done} (--deinterlace makes whole frames of it)"


class FieldTag:
    """Marks frames as interlaced, with the field that is shown first."""

    def __init__(self, fields: FieldOrder) -> None:
        self._mode = _MODES[fields]
        self._graph: Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame with its tag."""
        frame.pts, frame.time_base = 0, _TICK
        self._graph = self._graph or _graph(frame, "setfield", mode=self._mode)
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph(frame: av.VideoFrame, name: str, **options: str) -> Graph:
    """Make a filter for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TICK)
    graph.link_nodes(source, graph.add(name, **options), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    with suppress(BlockingIOError, EOFError):
        while True:
            yield graph.vpull()


def _numbered(graph: Graph) -> Iterator[tuple[int, av.VideoFrame]]:
    for frame in _pulled(graph):
        yield round((frame.pts or 0) * (frame.time_base or _TICK) / _TICK), frame
