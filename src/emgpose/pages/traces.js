/* Traces against time on 2D canvases: joint angles in degrees and EMG envelopes, with a cursor that follows the slider. */
(function (emgpose) {
  "use strict";

  const DEGREES = 180 / Math.PI;
  const AXIS_HEIGHT = 20;
  const FONT = "11px system-ui, sans-serif";
  const TIME_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600];
  const ANGLE_STEPS = [5, 10, 15, 30, 45, 90, 180, 360, 720];
  const MISSING = -32768;

  /** A canvas of lanes over a common time axis; the lanes are painted once per window, the cursor at every frame. */
  class Panel {
    /**
     * @param canvas element, as wide as its box
     * @param time {start_s, stop_s, rate_hz, seek(s), shaded: [[start_s, stop_s, track], ...]}; a page changes start and stop
     * @param paint (pen, plot, colour) draws the lanes
     */
    constructor(canvas, time, paint) {
      Object.assign(this, { canvas, time, paint, stale: true, left: 44 });
      this.pen = canvas.getContext("2d");
      this.painted = document.createElement("canvas");
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.seek(event); });
      canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.seek(event); });
    }

    setHeight(height) {
      this.canvas.style.height = `${height + AXIS_HEIGHT}px`;
      this.stale = true;
    }

    get plot() {
      const width = Math.max(40, this.canvas.clientWidth - this.left - 8);
      const { start_s, stop_s } = this.time;
      return {
        left: this.left, width, height: this.canvas.clientHeight - AXIS_HEIGHT, start_s, stop_s,
        x: (time_s) => this.left + ((time_s - start_s) / (stop_s - start_s)) * width,
      };
    }

    seek(event) {
      const { left, width, start_s, stop_s } = this.plot;
      const share = Math.max(0, Math.min(1, (event.offsetX - left) / width));
      this.time.seek(start_s + share * (stop_s - start_s));
    }

    draw(time_s) {
      const scale = Math.min(2, window.devicePixelRatio || 1);
      const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
      const shown = `${this.time.start_s} ${this.time.stop_s}`;
      if (this.stale || this.canvas.width !== width || this.canvas.height !== height || this.shown !== shown) {
        Object.assign(this.canvas, { width, height });
        Object.assign(this.painted, { width, height });
        this.repaint(this.painted.getContext("2d"), scale);
        this.shown = shown;
        this.stale = false;
      }
      this.pen.setTransform(1, 0, 0, 1, 0, 0);
      this.pen.clearRect(0, 0, width, height);
      this.pen.drawImage(this.painted, 0, 0);
      this.pen.setTransform(scale, 0, 0, scale, 0, 0);
      const plot = this.plot;
      this.pen.fillStyle = emgpose.colour("--cursor");
      this.pen.fillRect(plot.x(time_s) - 0.75, 0, 1.5, plot.height);
    }

    repaint(pen, scale) {
      const plot = this.plot;
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.font = FONT;
      pen.save();
      pen.beginPath();
      pen.rect(plot.left, 0, plot.width, plot.height);
      pen.clip();
      for (const [start_s, stop_s, track] of this.time.shaded) {
        if (stop_s > plot.start_s && start_s < plot.stop_s) hatch(pen, plot.x(start_s), plot.x(stop_s), plot.height, track);
      }
      pen.restore();
      this.paint(pen, plot);
      timeAxis(pen, plot);
    }
  }

  /** Unusable time: lines that lean one way for the first track, the other way for the rest, so that colour is not needed. */
  function hatch(pen, from, to, height, track) {
    pen.fillStyle = emgpose.colour("--shade");
    pen.fillRect(from, 0, Math.max(1, to - from), height);
    pen.save();
    pen.beginPath();
    pen.rect(from, 0, to - from, height);
    pen.clip();
    pen.strokeStyle = emgpose.colour("--hatch");
    pen.lineWidth = 1;
    pen.beginPath();
    const lean = track === 0 ? 1 : -1;
    for (let x = 8 * Math.floor((from - height) / 8); x < to + height; x += 8) {
      pen.moveTo(x, 0);
      pen.lineTo(x + lean * height, height);
    }
    pen.stroke();
    pen.restore();
  }

  function timeAxis(pen, plot) {
    const length = plot.stop_s - plot.start_s;
    const step = TIME_STEPS_S.find((candidate) => (candidate / length) * plot.width >= 52) || length;
    pen.fillStyle = emgpose.colour("--quiet");
    pen.strokeStyle = emgpose.colour("--line");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.beginPath();
    for (let k = Math.ceil(plot.start_s / step - 1e-9); k * step <= plot.stop_s + 1e-9; k++) {
      const x = plot.x(k * step);
      pen.moveTo(x, plot.height);
      pen.lineTo(x, plot.height + 4);
      if (x < plot.left + plot.width - 12) pen.fillText(`${+(k * step).toFixed(1)} s`, x, plot.height + 6);
    }
    pen.stroke();
  }

  /** Lowest and highest angle of a joint over the usable frames of all tracks, widened to at least 20 degrees. */
  function angleRange(tracks, joint) {
    let low = Infinity, high = -Infinity;
    for (const track of tracks) {
      for (const [start, stop] of track.validRuns) {
        for (let frame = start; frame < stop; frame++) {
          const angle = DEGREES * track.angle(frame, joint);
          if (angle < low) low = angle;
          if (angle > high) high = angle;
        }
      }
    }
    if (low > high) [low, high] = [-10, 10];
    const extra = Math.max(0.06 * (high - low), (20 - (high - low)) / 2);
    return [low - extra, high + extra];
  }

  /** A painter of joint angles; `joints()` lists [index, label] of the lanes, predicted is drawn over recorded. */
  function jointPainter(tracks, frames, joints) {
    const ranges = new Map();
    return (pen, plot) => {
      const lanes = joints();
      const height = plot.height / lanes.length;
      lanes.forEach(([joint, label], lane) => {
        if (!ranges.has(joint)) ranges.set(joint, angleRange(tracks, joint));
        const [low, high] = ranges.get(joint);
        const top = lane * height;
        const y = (degrees) => top + 3 + ((high - degrees) / (high - low)) * (height - 6);
        angleTicks(pen, plot, y, low, high, height);
        pen.save();
        pen.beginPath();
        pen.rect(plot.left, top, plot.width, height);
        pen.clip();
        for (let track = tracks.length - 1; track >= 0; track--) {
          pen.strokeStyle = emgpose.colour(`--track-${track}`);
          pen.lineWidth = track === 0 ? 1.6 : 3;
          pen.setLineDash(track > 1 ? [6, 3] : []);
          traceLine(pen, plot, tracks[track], frames, joint, y);
        }
        pen.restore();
        laneLabel(pen, plot, label, top, height);
      });
    };
  }

  function angleTicks(pen, plot, y, low, high, height) {
    const most = height > 50 ? 4 : 2;
    const step = ANGLE_STEPS.find((candidate) => (high - low) / candidate <= most) || high - low;
    pen.strokeStyle = emgpose.colour("--grid");
    pen.fillStyle = emgpose.colour("--quiet");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.beginPath();
    for (let k = Math.ceil(low / step); k * step <= high; k++) {
      const at = Math.round(y(k * step)) + 0.5;
      pen.moveTo(plot.left, at);
      pen.lineTo(plot.left + plot.width, at);
      pen.fillText(`${k * step}°`, plot.left - 6, at);
    }
    pen.stroke();
  }

  function laneLabel(pen, plot, label, top, height) {
    pen.textAlign = "left";
    pen.textBaseline = "top";
    const width = pen.measureText(label).width;
    pen.fillStyle = emgpose.colour("--label");
    pen.fillRect(plot.left + 2, top + 2, width + 6, 14);
    pen.fillStyle = emgpose.colour("--text");
    pen.fillText(label, plot.left + 5, top + 4);
    pen.fillStyle = emgpose.colour("--line");
    pen.fillRect(plot.left, Math.round(top + height) - 0.5, plot.width, 1);
  }

  /** Usable runs as lines; where many frames share a pixel, the lowest and highest angle of each pixel. */
  function traceLine(pen, plot, track, frames, joint, y) {
    const first = Math.max(0, Math.floor((plot.start_s - frames.start_s) * frames.rate_hz) - 1);
    const last = Math.min(frames.n_frames, Math.ceil((plot.stop_s - frames.start_s) * frames.rate_hz) + 2);
    const pixel = frames.rate_hz * (plot.stop_s - plot.start_s) > 4 * plot.width ? 1 : 0;
    pen.lineJoin = "round";
    pen.beginPath();
    for (const [start, stop] of track.validRuns) {
      let before = null;
      for (let frame = Math.max(start, first); frame < Math.min(stop, last); ) {
        const x = plot.x(frames.start_s + frame / frames.rate_hz);
        let low = Infinity, high = -Infinity, at = x;
        while (frame < Math.min(stop, last) && at < x + pixel || at === x) {
          const angle = DEGREES * track.angle(frame, joint);
          low = Math.min(low, angle);
          high = Math.max(high, angle);
          at = plot.x(frames.start_s + ++frame / frames.rate_hz);
        }
        // Enter a pixel at the end that lies nearer to the pixel before, so that the line does not zigzag.
        const [enter, leave] = before !== null && before - low < high - before ? [low, high] : [high, low];
        if (before === null) pen.moveTo(x, y(enter));
        else pen.lineTo(x, y(enter));
        if (enter !== leave) pen.lineTo(x, y(leave));
        before = leave;
      }
    }
    pen.stroke();
  }

  /** Minimum and maximum of every EMG channel, one lane each. */
  class Emg {
    constructor(payload) {
      Object.assign(this, payload, { minimum: emgpose.unpack(payload.minimum), maximum: emgpose.unpack(payload.maximum) });
      this.nColumns = payload.minimum.shape[0];
      this.gain = 1;
    }

    /** Half a lane in the unit of the EMG, rounded to two digits. */
    get halfLane() {
      return +(this.typical / this.gain).toPrecision(2);
    }

    painter() {
      return (pen, plot) => {
        const height = plot.height / this.channels.length;
        const unit = ((height / 2) * this.scale) / this.halfLane;
        const first = Math.max(0, Math.floor((plot.start_s - this.start_s) / this.column_s));
        const last = Math.min(this.nColumns, Math.ceil((plot.stop_s - this.start_s) / this.column_s));
        const across = Math.max(1, plot.x(this.column_s) - plot.x(0));
        this.channels.forEach((name, channel) => {
          const middle = (channel + 0.5) * height;
          pen.fillStyle = emgpose.colour("--grid");
          pen.fillRect(plot.left, middle - 0.5, plot.width, 1);
          pen.fillStyle = emgpose.colour("--quiet");
          pen.textAlign = "right";
          pen.textBaseline = "middle";
          pen.fillText(name, plot.left - 6, middle, plot.left - 8);
          pen.save();
          pen.beginPath();
          // A strong burst may reach into the neighbouring lane, not further.
          pen.rect(plot.left, Math.max(0, middle - height), plot.width, Math.min(2 * height, plot.height - middle + height));
          pen.clip();
          pen.fillStyle = emgpose.colour("--emg");
          for (let column = first; column < last; column++) {
            const low = this.minimum[column * this.channels.length + channel];
            const high = this.maximum[column * this.channels.length + channel];
            if (low === MISSING) continue;
            const top = middle - unit * high, bottom = middle - unit * low;
            pen.fillRect(plot.x(this.start_s + column * this.column_s), top, across, Math.max(0.8, bottom - top));
          }
          pen.restore();
        });
        pen.fillStyle = emgpose.colour("--line");
        pen.fillRect(plot.left, plot.height - 0.5, plot.width, 1);
      };
    }
  }

  Object.assign(emgpose, { DEGREES, Emg, Panel, hatch, jointPainter });
})(window.emgpose);
