"""Subtitles, chapters, titles and further tracks: carried over where the file takes them, else named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.subtitles.subtitle import SubtitleSet
from av.video.stream import VideoStream

from fakes.fake_method import run
from fakes.told import Told
from scenes.video_clips import COUNT, SIZE, pictures

CHAPTERS = [(0, 200, "One"), (200, 480, "Two")]  # milliseconds; the clip has 480
STYLE = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Arial,16,&Hffffff

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
LINES = [(40, 120, "Hello"), (240, 160, "Good bye")]


def save_rich(path: Path, subtitles: str = "subrip", attached: bool = False) -> Path:
    """A clip with subtitles, chapters and words of its own."""
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream("ffv1" if attached else "libx264", rate=25, options={}))
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv422p10le" if attached else "yuv420p"
        text = cast(Any, container.add_stream(cast(Any, subtitles)))
        text.time_base = text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = STYLE
        text.codec_context.open()
        text.metadata["language"] = "deu"
        container.metadata.update({"title": "A walk", "artist": "Nobody", "director": "Somebody"})
        base = Fraction(1, 1000)
        container.set_chapters(
            [
                {"id": i, "start": start, "end": end, "time_base": base, "metadata": {"title": title}}
                for i, (start, end, title) in enumerate(CHAPTERS, 1)
            ]
        )
        if attached:
            container.add_attachment("font.ttf", "font/ttf", b"no font")
        for index, frame in enumerate(pictures()):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=stream.pix_fmt)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        for begin, duration, words in LINES:
            spoken = SubtitleSet.create(f"0,0,Default,,0,0,0,,{words}".encode(), 0, duration)
            packet = text.codec_context.encode_subtitle(spoken)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = duration, base, text
            container.mux(packet)
    return path


def content(path: Path) -> dict[str, Any]:
    """What a file holds beside pictures and sound."""
    with av.open(str(path)) as container:
        marks = []
        for mark in cast(list[dict[str, Any]], container.chapters()):
            base = mark["time_base"]
            marks.append((float(mark["start"] * base), float(mark["end"] * base), mark["metadata"]["title"]))
        found: dict[str, Any] = {"chapters": marks, "title": container.metadata.get("title"), "lines": []}
        tracks = [track for track in container.streams.subtitles if track.metadata.get("language") == "deu"]
        for track in tracks:
            found["codec"] = track.codec_context.name
            for packet in container.demux(track):
                if packet.size > 2 and packet.pts is not None:
                    sets = track.codec_context.decode2(packet)
                    texts = [cast(Any, rect).dialogue.decode().rpartition("}")[2] for rect in sets or ()]
                    found["lines"] += [(float(packet.pts * packet.time_base), text) for text in texts]
        return found


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [("a.mkv", {}, "mov_text"), ("a.mkv", {"attached": True}, "srt"), ("a.mp4", {"subtitles": "mov_text"}, "mov_text")],
)
def test_subtitles_chapters_and_title_are_carried_over(
    tmp_path: Path, masks: Path, name: str, options: dict[str, Any], codec: str
) -> None:
    clip = save_rich(tmp_path / name, **options)
    record = run(clip, masks, tmp_path / "out", layer="none", audio=False)
    found = content(next((tmp_path / "out").glob("completed.*")))
    assert found["chapters"] == [(start / 1000, end / 1000, title) for start, end, title in CHAPTERS]
    assert (found["title"], found["codec"]) == ("A walk", codec)
    assert found["lines"] == [(0.04, "Hello"), (0.24, "Good bye")]
    kept = record["carried"]["kept"]
    assert {"2 chapters", 'title "A walk"'} <= set(kept)
    assert kept[0].startswith("subtitles (")


def test_what_the_file_cannot_hold_is_named(tmp_path: Path, masks: Path) -> None:
    told = Told()
    clip = save_rich(tmp_path / "a.mkv", attached=True)
    record = run(clip, masks, tmp_path / "out", layer="none", progress=told)
    assert record["carried"]["left_out"] == ["an attachment (font.ttf)"]
    assert "Left out: an attachment (font.ttf)" in told.notes[-1]
    run(save_rich(tmp_path / "b.mkv"), masks, tmp_path / "b", layer="none", progress=told)
    assert told.notes[-1].startswith("Kept: subtitles (srt, deu; as mov_text), 2 chapters")
    assert told.notes[-1].endswith('; Left out: director "Somebody"')


def test_pictures_hold_none_of_it_and_the_run_says_so(tmp_path: Path, masks: Path) -> None:
    told = Told()
    record = run(save_rich(tmp_path / "a.mkv"), masks, tmp_path / "out", layer="none", png=True, progress=told)
    left_out = record["carried"]["left_out"]
    assert record["carried"]["kept"] == []
    assert {"2 chapters", 'title "A walk"'} <= set(left_out)
    assert any(what.startswith("subtitles (srt") for what in left_out)
    assert told.notes[-1] == f"Left out: {', '.join(left_out)}"


def test_of_some_frames_the_chapters_and_subtitles_are_theirs(tmp_path: Path, masks: Path) -> None:
    clip = save_rich(tmp_path / "a.mkv")
    run(clip, masks, tmp_path / "out", layer="none", start=4, end=COUNT)
    found = content(tmp_path / "out" / "completed.mp4")
    assert found["chapters"] == [(0, 0.04, "One"), (0.04, 0.32, "Two")]
    assert found["lines"] == [(0.08, "Good bye")]
