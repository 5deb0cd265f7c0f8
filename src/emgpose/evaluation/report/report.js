/* The report's moving parts: dark and light, one condition at a time, and the moving hands. */
(function (emgpose) {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const root = document.documentElement;
  const darkness = window.matchMedia("(prefers-color-scheme: dark)");
  root.classList.add("js");

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkness.matches);

  function showTheme() {
    element("theme").textContent = isDark() ? "Light" : "Dark";
    if (players) players.repaint();
  }

  function showCondition(name) {
    for (const button of document.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", String(button.dataset.show === name));
    }
    for (const group of document.querySelectorAll("[data-condition]")) group.hidden = group.dataset.condition !== name;
  }

  /** A colour of the style sheet as [r, g, b]; an element resolves what a variable only spells. */
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const numbers = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    probe.remove();
    return numbers;
  }

  /** Best, median and worst window of one run, on one clock. */
  class Players {
    constructor() {
      this.figures = [...document.querySelectorAll(".player")];
      this.hands = {};
      this.state = { frame: 0, playing: false, speed: 1, before: null, asked: false };
      this.choose(element("run").value);
      element("run").addEventListener("change", (event) => this.choose(event.target.value));
      element("speed").addEventListener("change", (event) => { this.state.speed = Number(event.target.value); });
      element("play").addEventListener("click", () => this.setPlaying(!this.state.playing));
      element("slider").addEventListener("input", (event) => this.setFrame(Number(event.target.value)));
      // A page that was laid out anew needs its canvases drawn anew.
      new ResizeObserver(() => this.later()).observe(element("players"));
    }

    choose(run) {
      const examples = data.examples.filter((example) => example.run === run);
      this.lastFrame = Math.max(...examples.map((example) => example.n_frames)) - 1;
      this.rate_hz = examples[0].rate_hz;
      element("slider").max = String(this.lastFrame);
      this.shown = this.figures.map((figure, i) => {
        figure.hidden = i >= examples.length;
        return figure.hidden ? null : this.player(figure, examples[i]);
      }).filter(Boolean);
      this.repaint();
      this.setFrame(0);
    }

    player(figure, example) {
      // A canvas keeps its WebGL context: a new one for every run would soon be one too many.
      const hand = this.hands[example.side] || new emgpose.Hand(data.hands[example.side]);
      this.hands[example.side] = hand;
      const canvas = figure.querySelector("canvas");
      figure.querySelector("figcaption").textContent = example.caption;
      canvas.setAttribute("aria-label", `Moving hand, predicted beside recorded. ${example.caption}`);
      if (!figure.view) {
        figure.view = new emgpose.HandView(canvas, hand, 2);
        figure.view.onchange = () => this.turned(figure.view);
      } else if (figure.view.hand !== hand) {
        figure.view.hand = hand;
        figure.view.centreOn(hand);
        figure.view.setPreset("front");
        if (figure.view.hasWebGL) figure.view.prepare();
      }
      const tracks = example.tracks.map((track) => new emgpose.Track(track, example.n_frames, data.joints));
      return { view: figure.view, tracks, example };
    }

    /** All hands turn together, left hands as mirror images. */
    turned(source) {
      for (const { view } of this.shown) {
        if (view === source) continue;
        view.yaw = view.hand.side === source.hand.side ? source.yaw : -source.yaw;
        view.pitch = source.pitch;
        view.zoom = source.zoom;
      }
      this.later();
    }

    repaint() {
      this.colours = ["--skin-predicted", "--skin-recorded", "--skin-off"].map(colour);
      this.rim = isDark() ? 0.35 : 0.55;
      this.later();
    }

    later() {
      if (!this.state.asked) requestAnimationFrame((now) => this.tick(now));
      this.state.asked = true;
    }

    tick(now_ms) {
      const state = this.state;
      state.asked = false;
      if (state.playing) {
        const passed_s = state.before === null ? 0 : (now_ms - state.before) / 1000;
        state.before = now_ms;
        state.frame = Math.min(this.lastFrame, state.frame + passed_s * state.speed * this.rate_hz);
        if (state.frame >= this.lastFrame) this.setPlaying(false);
      }
      this.render();
      if (state.playing) this.later();
    }

    render() {
      for (const { view, tracks, example } of this.shown) {
        const frame = Math.min(this.state.frame, example.n_frames - 1);
        view.draw(tracks.map((track, i) => ({
          angles: track.pose(frame),
          colour: this.colours[track.valid[Math.floor(frame + 1e-6)] ? i : 2],
          rim: this.rim,
        })));
      }
      const time = (this.state.frame / this.rate_hz).toFixed(2);
      element("slider").value = String(this.state.frame);
      element("slider").setAttribute("aria-valuetext", `${time} s`);
      element("clock").textContent = `${time} s / ${(this.lastFrame / this.rate_hz).toFixed(1)} s`;
    }

    setFrame(frame) {
      this.state.frame = Math.max(0, Math.min(this.lastFrame, frame));
      this.state.before = null;
      this.later();
    }

    setPlaying(playing) {
      if (playing && this.state.frame >= this.lastFrame) this.state.frame = 0;
      Object.assign(this.state, { playing, before: null });
      element("play").textContent = playing ? "❚❚" : "▶";
      element("play").setAttribute("aria-label", playing ? "Pause" : "Play");
      this.later();
    }
  }

  const players = element("players") ? new Players() : null;

  function listenToPrinting() {
    let screen = null;
    window.addEventListener("beforeprint", () => {
      const folded = [...document.querySelectorAll("details:not([open])")];
      screen = { theme: root.dataset.theme, folded };
      for (const details of folded) details.open = true;
      root.dataset.theme = "light";
      if (players) { players.repaint(); players.render(); }
    });
    window.addEventListener("afterprint", () => {
      if (!screen) return;
      for (const details of screen.folded) details.open = false;
      if (screen.theme) root.dataset.theme = screen.theme;
      else delete root.dataset.theme;
      showTheme();
    });
  }

  element("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  darkness.addEventListener("change", showTheme);
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => showCondition(button.dataset.show));
  }
  const opened = document.querySelector('[data-show][aria-pressed="true"]');
  if (opened) showCondition(opened.dataset.show);
  listenToPrinting();
  showTheme();

  // For scripts and tests.
  Object.assign(emgpose, {
    report: {
      showCondition,
      frame: () => (players ? players.state.frame : null),
      setFrame: (frame) => { if (players) players.setFrame(frame); },
      landmarks: (player, track, frame) => {
        const { view, tracks } = players.shown[player];
        return view.hand.landmarks(tracks[track].pose(frame));
      },
    },
  });
})(window.emgpose);
