"""The page for programs, with gradio_client and with curl, as the documentation has it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.copies import run_copy
from fakes.fake_method import labels
from fakes.web_servers import Client, Served, serving
from scenes.video_clips import COUNT, encode, pictures
from voin.io.video import probe

gradio_client = pytest.importorskip("gradio_client", reason='it comes with Gradio; run pip install "voin[web]"')
SIZE = (96, 128)
PAGE = Path(__file__).parents[2] / "docs" / "guides" / "page.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    (place / "temporary").mkdir()
    encode(place / "clip.mp4", pictures(size=SIZE))
    np.savez(place / "masks.npz", np.stack(labels(COUNT, SIZE)))
    return place


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    with serving(place / "temporary") as served:
        yield served


def block(language: str, word: str) -> str:
    """Take a block of code out of the page of the documentation."""
    blocks = [part.partition("```")[0] for part in PAGE.read_text().split(f"```{language}\n")[1:]]
    (found,) = (code for code in blocks if word in code)
    return found


def test_the_python_of_the_documentation_completes_a_video(served: Served, place: Path) -> None:
    code = block("python", "gradio_client").replace("http://127.0.0.1:7860", served.url)
    done = run_copy(code, place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert probe(place / "completed.mp4").count == COUNT


def test_the_curl_of_the_documentation_completes_a_video(served: Served, place: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; run apt-get install curl")
    np.savez(place / "front.npz", np.roll(np.stack(labels(COUNT, SIZE)) > 0, 60, axis=2))
    code = block("sh", "/gradio_api/call/complete -H").replace("http://127.0.0.1:7860", served.url.rstrip("/"))
    before, call, after = code.partition("event=")
    again = "".join([before, block("sh", "front="), call, after])
    for script, occluder in ((code, None), (again, "occluder")):
        (place / "completed.mp4").unlink(missing_ok=True)
        subprocess.run(["sh", "-euc", script], check=True, cwd=place, timeout=300)
        assert probe(place / "completed.mp4").count == COUNT
        (record,) = re.findall(r'gradio_api/file=[^"]*run\.json', (place / "progress.txt").read_text())[-1:]
        assert (json.loads(served.ask(f"/{record}")[1])["request"]["occluder"] is None) == (occluder is None)


def test_a_call_is_refused_in_words(served: Served, place: Path) -> None:
    client = gradio_client.Client(served.url, verbose=False)
    given = [gradio_client.handle_file(str(place / name)) for name in ("clip.mp4", "masks.npz")]
    for options, words in (
        ({"colour": "red"}, "the options are colour; they must be an object with some of "),
        ({"layer": "gif"}, "'gif' is no choice; it must be one of png, mov, webm, exr, none; choose one of them"),
        ({"start": 9, "end": 3}, "the part is frame 9 to 3"),
        ({"marks": [3]}, 'a mark is 3; it must be like {"frame": 52'),
        ({"model": "/etc"}, "the networks '/etc' are not offered here"),
    ):
        with pytest.raises(Exception, match=re.escape(words)):
            client.predict(*given, options, api_name="/complete")
    with pytest.raises(Exception, match="no frame from 0 to 11 says what the object is"):
        client.predict(given[0], None, {}, api_name="/complete")


def test_several_files_of_masks_show_an_object_each(served: Served, place: Path) -> None:
    with np.load(place / "masks.npz") as arrays:
        (seen,) = arrays.values()
    np.savez(place / "second.npz", np.roll(seen > 0, 60, axis=2))
    np.savez(place / "first.npz", seen > 0)
    client = gradio_client.Client(served.url, verbose=False)
    video, *masks = (gradio_client.handle_file(str(place / name)) for name in ("clip.mp4", "first.npz", "second.npz"))
    done = client.predict(video, masks, {"method": "classical", "end": 3}, api_name="/complete")
    assert done["state"] == "done"
    assert set(done["totals"]) == {"occluded", "propagated", "invented"}
    (url,) = (file["url"] for file in done["files"] if file["name"] == "run.json")
    record = json.loads(served.ask(url if url.startswith("/") else f"/{url}")[1])
    assert set(record["objects"]) == {"1", "2"}


def test_masks_of_what_hides_the_object_are_an_option(served: Served, place: Path) -> None:
    with np.load(place / "masks.npz") as arrays:
        (seen,) = arrays.values()
    np.savez(place / "front.npz", np.roll(seen > 0, 60, axis=2))
    client = gradio_client.Client(served.url, verbose=False)
    video, masks = (gradio_client.handle_file(str(place / name)) for name in ("clip.mp4", "masks.npz"))
    code = block("python", '"occluder": handle_file')
    names = {"client": client, "handle_file": gradio_client.handle_file}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        exec(code, names)
        done = names["job"].result(timeout=300)
    assert {"background.zip", "occluder.zip"} <= {file["name"] for file in done["files"]}
    for wrong in (3, "/etc/passwd", [{"path": "/etc/passwd"}]):
        with pytest.raises(Exception, match=r"this is no upload of this page|403 Forbidden"):
            client.predict(video, masks, {"method": "classical", "occluder": wrong}, api_name="/complete")


def test_marks_stand_for_masks(served: Served, place: Path) -> None:
    client = gradio_client.Client(served.url, verbose=False)
    options = {"marks": [{"frame": 2, "box": "20,12,60,56"}], "tracker": "grabcut", "method": "classical", "end": 6}
    job = client.submit(gradio_client.handle_file(str(place / "clip.mp4")), None, options, api_name="/complete")
    done = job.result(timeout=300)
    assert done["state"] == "done"
    assert {"completed.mp4", "masks.zip", "run.json"} <= {file["name"] for file in done["files"]}
    assert any("Masks of clip.mp4" in status.get("job", "") for status in job.outputs())


def test_what_a_program_has_not_finished_is_its_own(served: Served) -> None:
    client = Client(served, "page-api")
    assert client.token
    answer = json.loads(served.ask("/gradio_api/info")[1])
    assert list(answer["named_endpoints"]) == ["/complete"]
