/* The page itself: one clock that moves the hands, the traces and the table. */
(function (emgpose) {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const { frames, joints, fingers } = data;
  const element = (id) => document.getElementById(id);
  const root = document.documentElement;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const darkness = window.matchMedia("(prefers-color-scheme: dark)");
  const SHORT_WINDOW_S = 10;
  const STEP_S = 0.1;

  const hand = new emgpose.Hand(data.hand);
  const tracks = data.tracks.map((track) => new emgpose.Track(track, frames.n_frames, joints.length));
  const emg = data.emg && new emgpose.Emg(data.emg);
  const lastFrame = frames.n_frames - 1;
  const duration_s = Math.max(lastFrame / frames.rate_hz, 1 / frames.rate_hz);
  const state = { frame: firstFrame(), playing: false, speed: 1, window_s: duration_s, finger: 1, before: null };

  /** Where all hands are usable first, so that the page opens on a pose and not on a gap. */
  function firstFrame() {
    for (const wanted of [tracks.length, 1]) {
      for (let frame = 0; frame <= lastFrame; frame++) {
        if (tracks.filter((track) => track.valid[frame]).length >= wanted) return frame;
      }
    }
    return 0;
  }

  let colours = new Map();
  emgpose.colour = (name) => {
    if (!colours.has(name)) colours.set(name, getComputedStyle(root).getPropertyValue(name).trim());
    return colours.get(name);
  };

  const time_s = () => frames.start_s + state.frame / frames.rate_hz;
  const shaded = tracks.flatMap((track, index) => gaps(track).map(
    ([start, stop]) => [frames.start_s + start / frames.rate_hz, frames.start_s + stop / frames.rate_hz, index],
  ));
  const axis = { start_s: frames.start_s, stop_s: frames.start_s + duration_s, shaded, seek: (at_s) => seek(at_s) };

  function gaps(track) {
    const edges = [0, ...track.validRuns.flat(), frames.n_frames];
    const found = [];
    for (let i = 0; i < edges.length; i += 2) if (edges[i + 1] > edges[i]) found.push([edges[i], edges[i + 1]]);
    return found;
  }

  const view = new emgpose.HandView(element("hand"), hand, tracks.length);
  const jointPanel = new emgpose.Panel(element("joints"), axis, emgpose.jointPainter(tracks, frames, lanes));
  const emgPanel = emg && new emgpose.Panel(element("emg"), axis, emg.painter());
  view.onchange = () => { pressView(null); later(); };

  /** Joints of the chosen finger, or all. */
  function lanes() {
    const all = joints.map((name, index) => [index, name]);
    return state.finger < 0 ? all : all.slice(4 * state.finger, 4 * state.finger + 4);
  }

  let asked = false;
  function later() {
    if (!asked) requestAnimationFrame(tick);
    asked = true;
  }

  function tick(now_ms) {
    asked = false;
    if (state.playing) {
      const passed_s = state.before === null ? 0 : (now_ms - state.before) / 1000;
      state.before = now_ms;
      state.frame = Math.min(lastFrame, state.frame + passed_s * state.speed * frames.rate_hz);
      if (state.frame >= lastFrame) setPlaying(false);
    }
    render();
    if (state.playing) later();
  }

  function render() {
    const page = Math.max(0, Math.min(
      Math.floor((state.frame / frames.rate_hz + 1e-9) / state.window_s), Math.ceil(duration_s / state.window_s) - 1,
    ));
    axis.start_s = frames.start_s + page * state.window_s;
    axis.stop_s = Math.min(axis.start_s + state.window_s, frames.start_s + duration_s);
    const whole = Math.floor(state.frame + 1e-6);
    view.draw(tracks.map((track, index) => ({
      angles: track.pose(state.frame),
      colour: emgpose.colour(track.valid[whole] ? `--skin-${index}` : "--skin-off").split(",").map(Number),
      rim: Number(emgpose.colour("--rim")),
    })));
    jointPanel.draw(time_s());
    if (emgPanel) emgPanel.draw(time_s());
    writeNumbers(whole);
  }

  function writeNumbers(frame) {
    const now = `${time_s().toFixed(2)} s`;
    element("slider").value = String(frame);
    element("slider").setAttribute("aria-valuetext", now);
    element("clock").textContent = `${now} / ${(frames.start_s + duration_s).toFixed(1)} s`;
    element("table-time").textContent = now;
    tracks.forEach((track, index) => {
      const gap = index === 0 ? "no prediction here" : `no ${track.name} pose here`;
      element("names").children[index].lastChild.textContent = track.valid[frame] ? "" : tracks.length > 1 ? gap : "no pose here";
      cells[index].forEach((cell, joint) => {
        // Adding 0 turns -0 into 0.
        cell.textContent = track.valid[frame] ? `${Math.round(emgpose.DEGREES * track.angle(frame, joint)) + 0}°` : "–";
      });
    });
    if (tracks.length > 1) {
      const both = tracks[0].valid[frame] && tracks[1].valid[frame];
      const sum = joints.reduce((total, _, j) => total + Math.abs(tracks[0].angle(frame, j) - tracks[1].angle(frame, j)), 0);
      const mean = both ? `${((emgpose.DEGREES * sum) / joints.length).toFixed(1)}°` : "none here";
      element("difference").textContent = `Mean absolute difference, ${tracks[0].name} and ${tracks[1].name}: ${mean}`;
    }
  }

  function setFrame(frame) {
    state.frame = Math.max(0, Math.min(lastFrame, frame));
    state.before = null;
    later();
  }

  function seek(at_s) {
    setFrame(Math.round((at_s - frames.start_s) * frames.rate_hz));
  }

  function setPlaying(playing) {
    if (playing && state.frame >= lastFrame) state.frame = 0;
    Object.assign(state, { playing, before: null });
    element("play").textContent = playing ? "❚❚" : "▶";
    element("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    later();
  }

  function pressView(name) {
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === name));
    }
  }

  /** Turn to a preset: at once for readers who want no motion, else within a quarter of a second. */
  function showView(name) {
    const from = { yaw: view.yaw, pitch: view.pitch, zoom: view.zoom };
    view.setPreset(name);
    const to = { yaw: view.yaw, pitch: view.pitch, zoom: view.zoom };
    // The short way round.
    from.yaw = to.yaw + Math.atan2(Math.sin(from.yaw - to.yaw), Math.cos(from.yaw - to.yaw));
    pressView(name);
    if (still.matches) return later();
    const begun = performance.now();
    const turn = (now) => {
      const share = Math.max(0, Math.min(1, (now - begun) / 250));
      for (const key of Object.keys(to)) view[key] = from[key] + (3 - 2 * share) * share * share * (to[key] - from[key]);
      render();
      if (share < 1) requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
    return undefined;
  }

  function setTheme(name) {
    root.dataset.theme = name;
    element("theme").textContent = name === "dark" ? "Light" : "Dark";
    repaint();
  }

  function repaint() {
    colours = new Map();
    for (const panel of [jointPanel, emgPanel]) if (panel) panel.stale = true;
    drawStrip();
    drawLegend();
    later();
  }

  /** Unusable time along the whole slider. */
  function drawStrip() {
    const canvas = element("strip");
    Object.assign(canvas, { width: Math.max(1, canvas.clientWidth), height: 8 });
    const pen = canvas.getContext("2d");
    for (const [start_s, stop_s, track] of shaded) {
      const x = (at_s) => ((at_s - frames.start_s) / duration_s) * canvas.width;
      emgpose.hatch(pen, x(start_s), x(stop_s), 8, track);
    }
  }

  function drawLegend() {
    for (const canvas of element("legend").querySelectorAll("canvas")) {
      Object.assign(canvas, { width: 22, height: 12 });
      emgpose.hatch(canvas.getContext("2d"), 0, 22, 12, Number(canvas.dataset.track));
    }
  }

  function setLaneHeights() {
    jointPanel.setHeight(state.finger < 0 ? 20 * 38 : 4 * 58);
    if (emgPanel) emgPanel.setHeight(emg.channels.length * 17);
  }

  function setGain(factor) {
    emg.gain = Math.max(1 / 16, Math.min(64, emg.gain * factor));
    element("emg-scale").textContent = `half a lane is ${emg.halfLane} ${emg.unit}`;
    emgPanel.stale = true;
    later();
  }

  function created(parent, tag, text, attributes = {}) {
    const child = document.createElement(tag);
    child.textContent = text;
    for (const [name, value] of Object.entries(attributes)) child.setAttribute(name, value);
    parent.append(child);
    return child;
  }

  /** The table's cells per track, joint by joint: a row per finger, a column per joint along it; the bar says which track. */
  const cells = tracks.map(() => []);
  function buildTable() {
    let heading = "";
    fingers.forEach((finger, row) => {
      // The thumb's joints have names of their own, so it gets its own heading.
      const names = joints.slice(4 * row, 4 * row + 4).map((name) => name.slice(finger.length + 1));
      if (heading !== String(names)) {
        const head = created(element("table-body"), "tr", "");
        created(head, "th", "");
        for (const name of names) created(head, "th", name, { scope: "col" });
        heading = String(names);
      }
      const line = created(element("table-body"), "tr", "");
      created(line, "th", finger, { scope: "row" });
      for (let k = 0; k < 4; k++) {
        const cell = created(line, "td", "", { title: joints[4 * row + k] });
        tracks.forEach((track, index) => {
          const number = created(cell, "span", "");
          number.style.borderLeftColor = `var(--track-${index})`;
          created(number, "b", `${track.name} `, { class: "unseen" });
          cells[index].push(created(number, "em", ""));
        });
      }
    });
  }

  function buildNames() {
    tracks.forEach((track, index) => {
      const name = created(element("names"), "span", "");
      for (const place of [name, created(element("legend"), "span", "")]) {
        created(place, "i", "").style.borderTopColor = `var(--track-${index})`;
        place.append(track.name);
      }
      created(name, "small", "");
      if (gaps(track).length) {
        const entry = created(element("legend"), "span", "");
        created(entry, "canvas", "", { "data-track": String(index), "aria-hidden": "true" });
        entry.append(`no usable ${track.name} pose`);
      }
    });
    element("hand").setAttribute(
      "aria-label", `Moving ${hand.side} hand: ${tracks.map((track) => track.name).join(" beside ")}`,
    );
  }

  function buildChoices() {
    fingers.forEach((finger, index) => created(element("finger"), "option", finger, { value: String(index) }));
    created(element("finger"), "option", "all", { value: "-1" });
    element("finger").value = String(state.finger);
    const spans = [2, 5, SHORT_WINDOW_S, 30].filter((span) => span < duration_s);
    for (const span of spans) created(element("window"), "option", `${span} s`, { value: String(span) });
    created(element("window"), "option", "all", { value: String(duration_s) });
    if (duration_s > 1.5 * SHORT_WINDOW_S) state.window_s = SHORT_WINDOW_S;
    element("window").value = String(state.window_s);
    element("slider").max = String(lastFrame);
    element("no-webgl").hidden = view.hasWebGL;
    element("emg-card").hidden = !emg;
  }

  function listen() {
    element("play").addEventListener("click", () => setPlaying(!state.playing));
    element("slider").addEventListener("input", (event) => setFrame(Number(event.target.value)));
    element("speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); });
    element("window").addEventListener("change", (event) => { state.window_s = Number(event.target.value); later(); });
    element("finger").addEventListener("change", (event) => {
      state.finger = Number(event.target.value);
      setLaneHeights();
      later();
    });
    element("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
    element("nearer").addEventListener("click", () => view.zoomBy(1.2));
    element("farther").addEventListener("click", () => view.zoomBy(1 / 1.2));
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => showView(button.dataset.view));
    }
    if (emg) {
      element("smaller").addEventListener("click", () => setGain(1 / 1.5));
      element("larger").addEventListener("click", () => setGain(1.5));
    }
    document.addEventListener("keydown", onKey);
    new ResizeObserver(repaint).observe(document.body);
    darkness.addEventListener("change", () => setTheme(darkness.matches ? "dark" : "light"));
    listenToPrinting();
  }

  function onKey(event) {
    // Buttons, menus and the slider keep their own keys.
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = event.target.closest("button, select, summary, input");
    const step = Math.max(1, Math.round((event.shiftKey ? 1 : STEP_S) * frames.rate_hz));
    if (event.key === " " && (!own || own.id === "slider")) setPlaying(!state.playing);
    else if (own) return;
    else if (event.key === "ArrowRight") setFrame(Math.floor(state.frame) + step);
    else if (event.key === "ArrowLeft") setFrame(Math.ceil(state.frame) - step);
    else if (event.key === "Home") setFrame(0);
    else if (event.key === "End") setFrame(lastFrame);
    else return;
    event.preventDefault();
  }

  /** Paper shows the whole span in light colours, with the header open. */
  function listenToPrinting() {
    let screen = null;
    window.addEventListener("beforeprint", () => {
      screen = { theme: root.dataset.theme, window_s: state.window_s, open: element("facts").open };
      state.window_s = duration_s;
      element("facts").open = true;
      setTheme("light");
      render();
    });
    window.addEventListener("afterprint", () => {
      if (!screen) return;
      state.window_s = screen.window_s;
      element("facts").open = screen.open;
      setTheme(screen.theme);
    });
  }

  buildNames();
  buildTable();
  buildChoices();
  setLaneHeights();
  listen();
  setTheme(darkness.matches ? "dark" : "light");
  if (emg) setGain(1);
  render();

  // For scripts and tests: landmarks in the wrist frame [mm], and where they appear on the screen.
  Object.assign(emgpose, {
    nFrames: frames.n_frames,
    frame: () => state.frame,
    setFrame,
    showView,
    landmarks: (frame, track = 0) => hand.landmarks(tracks[track].pose(frame)),
    project: (frame, track = 0) => view.project(hand.landmarks(tracks[track].pose(frame))),
  });
})(window.emgpose);
