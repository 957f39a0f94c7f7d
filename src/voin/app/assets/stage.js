// The frame on which a user draws: a box, points, paint; by pointer, finger or keyboard.
//
// Runs as `js_on_load` of a gr.HTML: `element`, `trigger`, `props` and `watch` are given. `props.value` is the state that
// the server knows; what is drawn goes back as the event "input", in pixels of the video.
const stage = element.querySelector(".stage");
const picture = stage.querySelector("img");
const canvas = stage.querySelector("canvas");
const pen = canvas.getContext("2d");
const DRAG = 5; // pixels of the screen that a hand shakes
const STEP = 8; // pixels of the screen for an arrow key
let state = {};
let paint = null; // a canvas of the video's size
let corner = null; // where the box was begun, in pixels of the video
let pressed = null; // where the pointer went down
let cursor = null; // in pixels of the video
let keyed = false; // the cursor is moved by keys, so that it must be drawn
let brushed = null; // the last point of a stroke

function unit() {
  return state.width / Math.max(canvas.clientWidth, 1); // pixels of the video for one of the screen
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return limit({ x: (event.clientX - box.left) * unit(), y: (event.clientY - box.top) * unit() });
}

function limit(point) {
  return {
    x: Math.min(Math.max(Math.floor(point.x), 0), state.width - 1),
    y: Math.min(Math.max(Math.floor(point.y), 0), state.height - 1),
  };
}

function boxOf(a, b) {
  return {
    x: Math.min(a.x, b.x), y: Math.min(a.y, b.y),
    w: Math.abs(a.x - b.x) + 1, h: Math.abs(a.y - b.y) + 1,
  };
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  if (!state.image) return;
  const one = canvas.width / state.width;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (paint) {
    pen.globalAlpha = 0.5;
    pen.drawImage(paint, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 1;
  }
  const box = corner && cursor ? boxOf(corner, cursor) : state.box;
  if (box) {
    for (const [colour, width] of [["#000a", 4], [corner ? "#fff" : "#ffd60a", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width * scale;
      pen.strokeRect(box.x * one, box.y * one, box.w * one, box.h * one);
    }
  }
  for (const [points, colour, sign] of [[state.points, "#1b9e3f", "+"], [state.negative, "#d1242f", "\u2212"]]) {
    for (const [x, y] of points || []) dot((x + 0.5) * one, (y + 0.5) * one, colour, sign, scale);
  }
  if (keyed && cursor) cross((cursor.x + 0.5) * one, (cursor.y + 0.5) * one, scale);
}

function dot(x, y, colour, sign, scale) {
  pen.beginPath();
  pen.arc(x, y, 9 * scale, 0, 2 * Math.PI);
  pen.fillStyle = colour;
  pen.fill();
  pen.strokeStyle = "#fff";
  pen.lineWidth = 2 * scale;
  pen.stroke();
  pen.fillStyle = "#fff";
  pen.font = `bold ${13 * scale}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(sign, x, y + scale);
}

function cross(x, y, scale) {
  for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width * scale;
    pen.beginPath();
    pen.moveTo(x - 14 * scale, y);
    pen.lineTo(x + 14 * scale, y);
    pen.moveTo(x, y - 14 * scale);
    pen.lineTo(x, y + 14 * scale);
    pen.stroke();
  }
}

function send(kind, more) {
  trigger("input", { kind, frame: state.frame, ...more });
}

function endBox(point) {
  const box = boxOf(corner, point);
  corner = null;
  if (box.w >= 4 && box.h >= 4) {
    state.box = box;
    send("box", box);
  }
}

function brush(from, to) {
  if (!paint) {
    paint = document.createElement("canvas");
    paint.width = state.width;
    paint.height = state.height;
  }
  const ink = paint.getContext("2d");
  ink.globalCompositeOperation = state.tool === "erase" ? "destination-out" : "source-over";
  ink.strokeStyle = ink.fillStyle = "#40dcff";
  ink.lineCap = ink.lineJoin = "round";
  ink.lineWidth = Math.max(2, state.brush || 16);
  ink.beginPath();
  ink.moveTo(from.x + 0.5, from.y + 0.5);
  ink.lineTo(to.x + 0.5, to.y + 0.51);
  ink.stroke();
}

function endPaint() {
  brushed = null;
  if (paint) send("paint", { data: paint.toDataURL("image/png") });
}

function isPaint() {
  return state.tool === "paint" || state.tool === "erase";
}

function press(point) {
  if (state.tool === "point" || state.tool === "not") {
    (state.tool === "point" ? state.points : state.negative).push([point.x, point.y]);
    send(state.tool, point);
  } else if (isPaint()) {
    brush(point, point);
    brushed = point;
  } else if (corner) {
    endBox(point);
  } else {
    corner = point;
  }
}

canvas.addEventListener("pointerdown", (event) => {
  if (!state.image || event.button > 0) return;
  canvas.setPointerCapture(event.pointerId);
  keyed = false;
  cursor = at(event);
  pressed = corner ? null : { x: event.clientX, y: event.clientY };
  press(cursor);
  draw();
});

canvas.addEventListener("pointermove", (event) => {
  if (!state.image || (!corner && !brushed)) return;
  cursor = at(event);
  if (brushed) {
    brush(brushed, cursor);
    brushed = cursor;
  }
  draw();
});

canvas.addEventListener("pointerup", (event) => {
  if (brushed) endPaint();
  const far = pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > DRAG;
  if (corner && far) endBox(at(event)); // dragged; otherwise a second click ends the box
  pressed = null;
  draw();
});

canvas.addEventListener("pointercancel", () => {
  corner = pressed = brushed = null;
  draw();
});

stage.addEventListener("keydown", (event) => {
  if (!state.image) return;
  const step = Math.max(1, Math.round((event.shiftKey ? 1 : STEP) * (event.shiftKey ? 1 : unit())));
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  cursor = cursor || { x: Math.floor(state.width / 2), y: Math.floor(state.height / 2) };
  if (moves[event.key]) {
    cursor = limit({ x: cursor.x + moves[event.key][0], y: cursor.y + moves[event.key][1] });
  } else if (event.key === "Enter" || event.key === " ") {
    press(cursor);
    if (brushed) endPaint();
  } else if (event.key === "Escape") {
    corner = null;
  } else {
    return;
  }
  keyed = true;
  event.preventDefault();
  draw();
});

stage.addEventListener("focus", () => {
  keyed = stage.matches(":focus-visible");
  if (keyed && !cursor && state.width) cursor = { x: Math.floor(state.width / 2), y: Math.floor(state.height / 2) };
  draw();
});
stage.addEventListener("blur", () => { keyed = false; draw(); });

function show() {
  const before = state;
  state = { points: [], negative: [], ...JSON.parse(JSON.stringify(props.value || {})) };
  stage.hidden = !state.image;
  if (!state.image) return;
  if (before.image !== state.image) picture.src = state.image;
  picture.alt = state.says;
  stage.setAttribute("aria-label", `${state.says} Arrow keys move the cross, Enter marks, Escape lets go.`);
  stage.style.aspectRatio = `${state.width} / ${state.height}`;
  stage.style.maxWidth = `calc(72vh * ${state.width / state.height})`; // an upright video fits the window
  stage.dataset.tool = state.tool;
  stage.dataset.frame = state.frame;
  if (before.frame !== state.frame || before.tool !== state.tool) corner = null;
  if (!brushed) {
    paint = null;
    if (state.painted) {
      const kept = new Image();
      kept.onload = () => {
        paint = document.createElement("canvas");
        paint.width = state.width;
        paint.height = state.height;
        const ink = paint.getContext("2d");
        ink.drawImage(kept, 0, 0);
        ink.globalCompositeOperation = "source-in";
        ink.fillStyle = "#40dcff";
        ink.fillRect(0, 0, paint.width, paint.height);
        draw();
      };
      kept.src = state.painted;
    }
  }
  draw();
}

new ResizeObserver(draw).observe(canvas);
watch("value", show);
show();
