// Input and result as two videos that are one: one button plays both, one slider moves both.
//
// Runs as `js_on_load` of a gr.HTML. `props.value` names the two files, their number of frames and their rate.
const root = element.querySelector(".player");
const [before, after] = root.querySelectorAll("video");
const button = root.querySelector("button");
const slider = root.querySelector("input");
const output = root.querySelector("output");
const APART = 0.04; // seconds that the videos may be apart

function seconds(video) {
  return Number.isFinite(video.duration) ? video.duration : 0;
}

function say() {
  const value = props.value || {};
  const frame = Math.min(Math.floor(before.currentTime * value.rate + 0.01), value.frames - 1);
  output.textContent = `frame ${value.first + Math.max(frame, 0)}`;
  slider.value = Math.max(frame, 0);
  button.textContent = before.paused ? "Play both" : "Pause";
}

function follow() {
  if (Math.abs(before.currentTime - after.currentTime) > APART) after.currentTime = before.currentTime;
  say();
  if (!before.paused) requestAnimationFrame(follow);
}

button.addEventListener("click", async () => {
  if (before.paused) {
    after.currentTime = before.currentTime;
    await Promise.all([before.play(), after.play()]);
    follow();
  } else {
    before.pause();
  }
});

slider.addEventListener("input", () => {
  const value = props.value || {};
  before.currentTime = after.currentTime = Math.min((Number(slider.value) + 0.5) / value.rate, seconds(before));
});

before.addEventListener("pause", () => { after.pause(); after.currentTime = before.currentTime; say(); });
before.addEventListener("ended", () => { after.pause(); say(); });
before.addEventListener("seeked", say);

function show() {
  const value = props.value || {};
  root.hidden = !value.before;
  if (!value.before || before.getAttribute("src") === value.before) return;
  before.src = value.before;
  after.src = value.after;
  slider.max = value.frames - 1;
  say();
}

watch("value", show);
show();
