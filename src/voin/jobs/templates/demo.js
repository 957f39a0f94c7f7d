'use strict';
for (const root of document.querySelectorAll('.compare')) {
  const setup = JSON.parse(root.dataset.setup);
  const find = name => root.querySelector(name);
  const [video, still, canvas] = [find('video'), find('.still'), find('canvas')];
  const [play, divider, frame, number] = [find('.play'), find('.divider'), find('.frame'), find('.number')];
  const pen = canvas.getContext('2d');
  const {width, height} = setup;
  let source = still, busy = false;

  function draw() {
    if (source === video && video.readyState < 2) return;  // it seeks, and draws again when it is there
    const at = Math.round(divider.value / 100 * width);
    pen.drawImage(source, 0, height, width, height, 0, 0, width, height);
    if (at > 0) pen.drawImage(source, 0, 0, at, height, 0, 0, at, height);
    pen.fillStyle = '#fff';
    pen.fillRect(at - 1, 0, 2, height);
    pen.beginPath();
    pen.arc(at, height / 2, height / 22, 0, 7);
    pen.fill();
  }
  function show(index) {
    number.value = setup.first + index;
  }
  // The time of the picture that is shown, which `currentTime` may run ahead of.
  let time = null;
  function watch() {
    video.requestVideoFrameCallback((now, picture) => { time = picture.mediaTime; watch(); });
  }
  if ('requestVideoFrameCallback' in video) watch();
  function tick() {
    if (video.paused) return;
    const index = time === null ? Math.floor(video.currentTime * setup.rate) : Math.round(time * setup.rate);
    source = video;
    frame.value = index;
    show(+frame.value);
    draw();
    requestAnimationFrame(tick);
  }
  // One seek at a time, always to the newest wish: dragging stays smooth.
  function seek() {
    show(+frame.value);
    if (busy || video.readyState < 1) return;
    busy = true;
    video.currentTime = (+frame.value + 0.5) / setup.rate;
  }
  video.addEventListener('seeked', () => {
    busy = false;
    if (!video.paused) return;
    source = video;
    draw();
    if (Math.abs(video.currentTime - (+frame.value + 0.5) / setup.rate) > 0.5 / setup.rate) seek();
  });
  video.addEventListener('play', () => { play.textContent = 'Pause'; tick(); });
  video.addEventListener('pause', () => { play.textContent = 'Play'; });
  video.addEventListener('error', () => { play.disabled = frame.disabled = true; });
  play.addEventListener('click', () => { video.paused ? video.play().catch(() => {}) : video.pause(); });
  divider.addEventListener('input', draw);
  frame.addEventListener('input', () => { video.pause(); seek(); });
  function drag(event) {
    const box = canvas.getBoundingClientRect();
    divider.value = (event.clientX - box.left) / box.width * 100;
    draw();
  }
  canvas.addEventListener('pointerdown', event => { canvas.setPointerCapture(event.pointerId); drag(event); });
  canvas.addEventListener('pointermove', event => { if (canvas.hasPointerCapture(event.pointerId)) drag(event); });

  function start() {
    root.classList.add('ready');
    show(setup.still);
    draw();
  }
  still.decode().then(start, start);
  // It plays while it is in view, unless the reader prefers less motion or has stopped it.
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) {
    let wanted = true;
    play.addEventListener('click', () => { wanted = !video.paused; });
    frame.addEventListener('input', () => { wanted = false; });
    new IntersectionObserver(entries => {
      if (!entries[0].isIntersecting) video.pause();
      else if (wanted) video.play().catch(() => {});
    }, {threshold: 0.4}).observe(canvas.parentElement);
  }
}
