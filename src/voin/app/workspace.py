"""What one user does on the page, without the page: choose a video, mark the object, track it, complete it, look.

Every verb checks what it is given, as it comes from strangers, and leaves all as it was where it refuses.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voin.app.controls import read_controls, whole_number
from voin.app.gate.limits import check_video, take_masks
from voin.app.gate.sessions import Session, find_inside, take_upload
from voin.app.marks import MarkedFrames, Marks, check_marks, marks_of_texts, painted_mask
from voin.app.options import Limits
from voin.app.queue import Job, Jobs
from voin.app.readers import Readers
from voin.app.render import ViewKind, draw_frame, draw_pair
from voin.app.work import Complete, Track
from voin.core.errors import ValueRefusal, count_of
from voin.io.images import shown
from voin.io.limits import VideoLimits
from voin.io.video import VideoInfo
from voin.jobs.demo import MASKS, SHOTS, Shot, find_clip, hidden_counts
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions

TARGETS = ("1", "2", "3", "4", "front")
TOOLS = ("box", "point", "not", "paint", "erase")
BRUSH = 24  # pixels of the video, to begin with
_KEPT_PICTURES = 8  # of results that stay on the disk, so that a browser which is behind finds them


@dataclass(frozen=True)
class Services:
    """What all users share."""

    jobs: Jobs
    readers: Readers
    limits: Limits
    uploads: Path  # the folder where Gradio puts them
    root: Path | None = None  # the folder whose videos may be chosen
    models: tuple[str, ...] = ()  # networks that may be chosen


@dataclass(eq=False)
class Workspace:
    """One user's work, from the video to the result, on its frames start..end-1."""

    session: Session
    services: Services
    info: VideoInfo | None = None
    name: str = ""  # what its owner calls the video
    start: int = 0
    end: int = 0
    frame: int = 0  # that is shown
    tool: str = "box"  # what is drawn with
    brush: float = BRUSH
    view: ViewKind = "result"
    target: str = "1"  # what is marked: an object by its number, or what hides it
    masks: Path | None = None  # of the first object, or of all: a folder with a mask a frame
    tracked: Track | None = None  # what made them, if the page did
    others: dict[str, Track] = field(default_factory=dict)  # what made the masks of the other targets
    amodal: Path | None = None  # whole masks that were uploaded
    occluder: Path | None = None  # masks of what hides the object that were uploaded
    jobs: list[Job] = field(default_factory=list)  # the latest last
    chosen: Job | None = None  # whose result is looked at
    _method: str | None = None  # that the user has chosen
    _marked: dict[str, MarkedFrames] = field(default_factory=dict)  # by target
    _sample: Shot | None = None
    _collected: set[Job] = field(default_factory=set)
    _drawn: tuple[Job | None, object, ViewKind] | None = None
    _pictures: list[Path] = field(default_factory=list)

    def plain(self, text: str) -> str:
        """Leave out of a message where files lie on the server: that is secret, and nobody's business."""
        for folder in (self.session.folder, self.services.root):
            if folder is not None:
                text = re.sub(rf"{re.escape(str(folder))}/(?:\d{{3}}-)?", "", text)
        return text

    # --- the video

    def choose_upload(self, given: object) -> None:
        """Choose an uploaded video."""
        path = take_upload(self.session, given, self.services.uploads)
        try:
            self._choose(path, Path(str(given)).name)
        except Exception:
            path.unlink(missing_ok=True)
            raise

    def choose_below_root(self, text: object) -> None:
        """Choose a video of the folder that the server shows."""
        if self.services.root is None:
            must = "one must be named when it is started"
            raise ValueRefusal("this server shows no folder", must, "voin serve --root DIR")
        path = find_inside(self.services.root, str(text))
        self._choose(path, path.name)

    def choose_sample(self, name: str) -> None:
        """Choose a shot of the demo's clip."""
        if name not in SHOTS:
            must = f"it must be one of {', '.join(SHOTS)}"
            raise ValueRefusal(f"there is no sample {name!r}", must, "choose one of them")
        shot, clip = SHOTS[name], find_clip()
        self._choose(clip, clip.name)
        self._sample = shot
        self.trim(shot.start, shot.end)
        self.frame = shot.start

    def _choose(self, path: Path, name: str) -> None:
        info = self.services.readers.call(check_video, path, self.services.limits)
        # As its owner calls it, for the commands that are shown.
        self.info, self.name = info, "".join(letter for letter in name if letter.isprintable())
        self.start, self.end, self.frame, self.tool = 0, info.count, 0, "box"
        self.masks, self.tracked, self.amodal, self.occluder, self._sample = None, None, None, None, None
        self.target, self.others, self._marked = "1", {}, {}

    @property
    def video(self) -> VideoInfo:
        """The video; refused where none is chosen yet."""
        if self.info is None:
            raise ValueRefusal("there is no video yet", "one must be chosen first", "upload one, or take a sample")
        return self.info

    def about(self) -> str:
        """Return what the video is, in words."""
        info = self.video
        return f"{self.name}: {shown(info.size)}, {count_of(info.count, 'frame')}, {float(info.rate):.4g} frames/s"

    def trim(self, start: object, end: object) -> None:
        """Work on frames start..end-1 alone."""
        first, last, count = whole_number(start, "start"), whole_number(end, "end"), self.video.count
        if not 0 <= first < last <= count:
            must = f"it must begin before it ends, both from 0 to {count}"
            raise ValueRefusal(f"the part is frame {first} to {last}", must, "correct start or end")
        self.start, self.end = first, last

    def trim_start(self, start: object) -> None:
        """Begin the part elsewhere; where it would end before, it goes on to the video's end."""
        first = whole_number(start, "start")
        self.trim(first, self.end if first < self.end else self.video.count)

    def trim_end(self, end: object) -> None:
        """End the part elsewhere; where it would begin after that, it begins with the video."""
        last = whole_number(end, "end")
        self.trim(self.start if self.start < last else 0, last)

    def go(self, frame: object) -> None:
        """Show another frame; the nearest there is."""
        self.frame = min(max(whole_number(frame, "frame"), 0), self.video.count - 1)

    # --- the object

    @property
    def marked(self) -> MarkedFrames:
        """What is marked of the target."""
        return self._marked.setdefault(self.target, MarkedFrames())

    def take_target(self, target: object) -> None:
        """Mark another object, or what hides it."""
        if not isinstance(target, str) or target not in TARGETS:
            must = f"it must be one of {', '.join(TARGETS)}"
            raise ValueRefusal(f"{str(target)[:40]!r} is nothing to mark", must, "choose one of them")
        self.target = target

    @property
    def shown_masks(self) -> Path | None:
        """The masks of the target, if there are any."""
        if self.target == "1":
            return self.masks
        track = self.others.get(self.target)
        return track.out if track is not None else self.occluder if self.target == "front" else None

    @property
    def marks(self) -> Marks:
        """What is marked on the frame that is shown."""
        return self.marked.on(self.frame)

    def take_pen(self, tool: object, brush: object) -> None:
        """Draw with another tool, and a brush of so many pixels."""
        if not isinstance(tool, str) or tool not in TOOLS:
            must = f"it must be one of {', '.join(TOOLS)}"
            raise ValueRefusal(f"{str(tool)[:40]!r} is no tool", must, "choose one of them")
        self.tool, self.brush = tool, whole_number(brush, "brush")

    def draw(self, event: object) -> None:
        """Do what was drawn on the frame: {"kind": "box" | "point" | "not" | "paint", ...}, in pixels of the video."""
        size, kind = self.video.size, event.get("kind") if isinstance(event, dict) else None
        if not isinstance(event, dict) or kind not in ("box", "point", "not", "paint"):
            must = "it must be a box, a point or paint on a frame"
            raise ValueRefusal("what was drawn is no stroke", must, "load the page again, and draw with its tools")
        if event.get("frame") != self.frame:
            return  # drawn on a frame that is no longer shown
        if kind == "paint":
            mask = self.services.readers.call(painted_mask, event.get("data"), size)
            self._put(replace(self.marks, mask=mask))
        elif kind == "box":
            x, y, w, h = (whole_number(event.get(name), name) for name in "xywh")
            self._put(replace(self.marks, box=(x, y, w, h)))
        else:
            at = (whole_number(event.get("x"), "x"), whole_number(event.get("y"), "y"))
            check_marks(Marks(points=(at,)), size)
            self.marked.add(self.frame, at, on=kind == "point")

    def type(self, box: str, points: str, negative: str) -> None:
        """Replace the marks by what is typed; paint stays."""
        self._put(marks_of_texts(str(box), str(points), str(negative), self.marks.mask, self.video.size))

    def _put(self, marks: Marks) -> None:
        check_marks(marks, self.video.size)
        self.marked.put(self.frame, marks)

    def take_masks(self, given: object) -> int:
        """Use uploaded masks, one file or a list of them; return the number of frames that have one.

        They are of what is marked: of all objects, or of what hides them.
        """
        if self.target == "front":
            return self.take_occluder(given)
        self.masks, count = self._read_masks(given)
        self.tracked, self.target = None, "1"
        return count

    def take_occluder(self, given: object) -> int:
        """Use uploaded masks as what hides the object; return the number of frames that have one."""
        self.occluder, count = self._read_masks(given)
        self.others.pop("front", None)
        return count

    def take_amodal(self, given: object) -> None:
        """Use uploaded masks as whole masks of the object."""
        self.amodal, _ = self._read_masks(given)

    def _read_masks(self, given: object) -> tuple[Path, int]:
        info, files = self.video, given if isinstance(given, list) and given else [given]
        paths, out = [], self.session.place("masks")
        scratch = self.session.place("masks" if len(files) > 1 else Path(str(files[0])).stem)
        try:
            for file in files:
                paths.append(take_upload(self.session, file, self.services.uploads))
            count = self.services.readers.call(take_masks, paths, info, self.services.limits, scratch, out)
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)
        return out, count

    def is_sample(self) -> bool:
        """Return whether voin has masks of what is worked on."""
        return self._sample is not None and self.start >= self._sample.start and self.end <= self._sample.end

    def take_sample_masks(self) -> None:
        """Use the masks that voin has of the sample."""
        if self._sample is None or not self.is_sample():
            what, must = "there are masks for the samples alone", "another video needs its own"
            raise ValueRefusal(what, must, "draw or upload them")
        self.masks, self.tracked = MASKS / self._sample.name, None

    # --- jobs

    def track(self, options: MaskOptions = MaskOptions()) -> Job:
        """Start to track what is marked through the part that is worked on."""
        info, prompts = self.video, self.marked.prompts(self.start, self.end)
        chosen = replace(options, **self._part())
        work = Track(info.path, prompts, self.session.place("masks"), chosen, self.target)
        what = {"1": "Masks", "front": "What hides the object"}.get(self.target, f"Masks of object {self.target}")
        return self._begin(f"{what} of {self.name}, frames {self.start} to {self.end - 1}", work)

    @property
    def method(self) -> str:
        """The method that the page shows, until the user chooses one."""
        # As the demo does: the networks fill what is open, such as a bicycle's frame.
        return self._method or (MethodOptions().method if self._sample is None else "classical")

    def take_method(self, method: object) -> None:
        """Keep the method that the user has chosen, whatever video comes next."""
        self._method = read_controls(MethodOptions, {"method": method}).method

    def complete(self, method: MethodOptions, options: CompleteOptions) -> Job:
        """Start to complete the object."""
        info = self.video
        if self.masks is None:
            remedy = "draw the object and track it, or upload masks"
            raise ValueRefusal("there are no masks yet", "each frame needs one", remedy)
        if method.model not in (None, *self.services.models):
            must = f"it must be one of {', '.join(self.services.models) or 'none'}"
            raise ValueRefusal(f"the networks {method.model!r} are not offered here", must, "choose others")
        front = self.others.get("front")
        occluder = front.out if front is not None else self.occluder
        if options.background and occluder is None:
            raise ValueRefusal(
                "what is in front is to be taken away, and nothing says what it is",
                "it must be marked and tracked first, or masks of it uploaded",
                'choose "What hides it", mark it on a frame, and track it; or give its masks',
            )
        folder = self.session.place("job")
        folder.mkdir()
        chosen = replace(options, **self._part(), amodal=self.amodal, occluder=occluder)
        others = tuple((int(target), track.out) for target, track in sorted(self.others.items()) if track is not front)
        work = Complete(info.path, self.name, self.masks, folder, chosen, method, self.tracked, others, front)
        return self._begin(f"{self.name}, frames {self.start} to {self.end - 1}, {method.method}", work)

    def _part(self) -> dict[str, Any]:
        usual, let_in = VideoLimits(), self.services.limits
        limits = VideoLimits(max(usual.frames, let_in.frames), max(usual.pixels, let_in.pixels))
        return {"start": self.start, "end": self.end if self.end < self.video.count else None, "limits": limits}

    def _begin(self, title: str, work: Track | Complete) -> Job:
        job = self.services.jobs.put(self.session.token, f"{len(self.jobs) + 1}. {title}", work)
        self.jobs.append(job)
        return job

    def job(self, number: object) -> Job:
        """Return one of this user's jobs, counted from 1."""
        at = whole_number(number, "job")
        if not 1 <= at <= len(self.jobs):
            raise ValueRefusal(f"there is no job {at}", f"this page has {len(self.jobs)}", "choose one of them")
        return self.jobs[at - 1]

    def cancel(self, number: object) -> None:
        """Stop a job."""
        self.services.jobs.cancel(self.job(number))
        self.collect()

    def collect(self) -> list[Job]:
        """Keep what jobs have made that ended since the last time; return these jobs."""
        ended = [job for job in self.jobs if job.done.is_set() and job not in self._collected]
        self._collected |= set(ended)
        for job in ended:
            if job.state != "done":
                continue
            if not isinstance(job.work, Track):
                self.chosen = job
            elif self._is_worked_on(job.work) and job.work.target == "1":
                self.masks, self.tracked = job.work.out, job.work
            elif self._is_worked_on(job.work):
                self.others[job.work.target] = job.work
                if job.work.target == "front":
                    self.occluder = None
        return ended

    def _is_worked_on(self, work: Track) -> bool:
        """Return whether masks are of what is worked on now; the samples are parts of one video."""
        last = self.video.count if work.options.end is None else work.options.end
        return self.video.path == work.video and work.options.start < self.end and self.start < last

    # --- pictures

    def picture(self) -> tuple[bytes, int | None]:
        """Draw the frame that is shown, with the object: a JPEG, and the object's pixels."""
        prompt = self.marks.prompt(self.frame)
        return self.services.readers.call(draw_frame, self.video, self.frame, self.shown_masks, prompt)

    def results(self) -> dict[int, Job]:
        """List the finished completions by the numbers of their jobs."""
        numbered = enumerate(self.jobs, start=1)
        return {number: job for number, job in numbered if job.state == "done" and isinstance(job.work, Complete)}

    def look(self, number: object) -> None:
        """Choose the result that is looked at."""
        job = self.job(number)
        if job not in self.results().values():
            what, must = "this job has no result to look at", "it must be a finished completion"
            raise ValueRefusal(what, must, "choose another one")
        self.chosen = job

    @property
    def result(self) -> tuple[Complete, dict[str, Any]]:
        """The result that is looked at, and its record; refused where there is none yet."""
        if self.chosen is None or not isinstance(self.chosen.work, Complete):
            raise ValueRefusal("there is no result yet", "a job must have finished", "start one, or wait")
        return self.chosen.work, self.chosen.result

    def most_hidden(self) -> int:
        """Return the frame of the result in which the most is hidden."""
        _, record = self.result
        counts = hidden_counts(record)
        return record["start"] + max(range(len(counts)), key=counts.__getitem__)

    def shows(self, frame: object, kind: ViewKind) -> bool:
        """Return whether this was drawn last."""
        return self._drawn == (self.chosen, frame, kind)

    def pair(self, frame: object, kind: ViewKind) -> tuple[Path, Path]:
        """Draw input and result of a frame, as files in the session's folder."""
        work, record = self.result
        self.view, self._drawn = kind, (self.chosen, frame, kind)
        at = min(max(whole_number(frame, "frame"), record["start"]), record["end"] - 1)
        info = self.info
        if info is None or info.path != work.video:  # another video was chosen since
            info = self.services.readers.call(check_video, work.video, self.services.limits)
        pictures = self.services.readers.call(draw_pair, info, work.masks, work.result, at, record["start"], kind)
        before, after = self.session.place("input.jpg"), self.session.place("result.jpg")
        for path, data in zip((before, after), pictures, strict=True):
            path.write_bytes(data)
        self._pictures += [before, after]
        for old in self._pictures[:-_KEPT_PICTURES]:
            old.unlink(missing_ok=True)
        self._pictures = self._pictures[-_KEPT_PICTURES:]
        return before, after


def end_session(session: Session) -> None:
    """Stop what a session that ends has begun."""
    workspace: Workspace = session.state
    workspace.services.jobs.forget(session.token)
