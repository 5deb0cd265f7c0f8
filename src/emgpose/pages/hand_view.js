/* Drawing hands: one WebGL 2 canvas with a view per hand, all turned and zoomed together by mouse, touch or presets. */
(function (emgpose) {
  "use strict";

  const FIELD_OF_VIEW = 0.42; // vertical [rad]; narrow, so that the hand is hardly distorted
  const VERTEX_SHADER = `#version 300 es
    uniform mat3 turn; uniform vec3 centre; uniform float distance; uniform vec2 zoom;
    in vec3 position; in vec3 normal;
    centroid out vec3 eye_normal; centroid out vec3 eye_position;
    void main() {
      vec3 eye = turn * (position - centre) - vec3(0.0, 0.0, distance);
      eye_normal = turn * normal;
      eye_position = eye;
      float near = 0.2 * distance, far = 2.5 * distance;
      gl_Position = vec4(zoom * eye.xy, (-(far + near) * eye.z - 2.0 * far * near) / (far - near), -eye.z);
    }`;
  // Centroid: at the rim of a triangle seen edge on, values at the pixel's middle would lie far outside it: dark specks.
  // Linear light: a sky dome, a key light from the upper left and a weak one from the right, a dark rim for the outline.
  const FRAGMENT_SHADER = `#version 300 es
    precision highp float;
    uniform vec3 colour; uniform float rim;
    centroid in vec3 eye_normal; centroid in vec3 eye_position;
    out vec4 shade;
    void main() {
      vec3 n = normalize(eye_normal), v = normalize(-eye_position);
      if (dot(n, v) < 0.0 && !gl_FrontFacing) n = -n;
      float key = max(dot(n, normalize(vec3(-0.5, 0.65, 0.75))) + 0.15, 0.0) / 1.15;
      float fill = max(dot(n, normalize(vec3(0.8, -0.1, 0.5))), 0.0);
      float sky = 0.5 + 0.5 * n.y;
      vec3 light = vec3(0.20, 0.21, 0.24) + 0.12 * sky + vec3(0.68, 0.66, 0.62) * key + vec3(0.13, 0.14, 0.17) * fill;
      float edge = pow(1.0 - max(dot(n, v), 0.0), 2.5);
      vec3 halfway = normalize(normalize(vec3(-0.5, 0.65, 0.75)) + v);
      vec3 lit = colour * light * (1.0 - rim * edge) + 0.05 * pow(max(dot(n, halfway), 0.0), 24.0);
      shade = vec4(pow(lit, vec3(1.0 / 2.2)), 1.0);
    }`;

  // Turns about the finger direction and about the horizontal [rad]; `yaw` for a right hand, mirrored for a left one.
  const PRESETS = {
    front: { yaw: Math.PI - 0.55, pitch: 0.12 },
    palm: { yaw: Math.PI, pitch: 0 },
    back: { yaw: 0, pitch: 0 },
    side: { yaw: Math.PI / 2, pitch: 0 },
  };

  // Landmark pairs of the stick figure: wrist to knuckles, then along each finger.
  const STICKS = [
    [5, 6], [6, 7], [7, 0], [5, 8], [8, 9], [9, 10], [10, 1], [5, 11], [11, 12], [12, 13], [13, 2],
    [5, 14], [14, 15], [15, 16], [16, 3], [5, 17], [17, 18], [18, 19], [19, 4], [8, 11], [11, 14], [14, 17],
  ];

  class HandView {
    /**
     * @param canvas gets WebGL 2 where the browser has it, else a stick figure in 2D
     * @param hand emgpose.Hand, drawn once per pose
     * @param nViews views side by side
     */
    constructor(canvas, hand, nViews) {
      this.canvas = canvas;
      this.hand = hand;
      this.nViews = nViews;
      this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
      this.flat = this.gl ? null : canvas.getContext("2d");
      this.positions = new Float32Array(3 * hand.nVertices);
      this.normals = new Float32Array(3 * hand.nVertices);
      this.centreOn(hand);
      this.setPreset("front");
      if (this.gl) this.prepare();
      canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
      canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.onchange(); });
      this.onchange = () => {};
      this.listen();
    }

    get hasWebGL() { return this.gl !== null; }

    centreOn(hand) {
      // Viewer axes: right = z, up = x (fingers), towards the eye = y (back of the hand), all after `hand.shown`.
      const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
      for (let i = 0; i < hand.restVertices.length; i++) {
        const value = hand.shown[i % 3] * hand.restVertices[i];
        low[i % 3] = Math.min(low[i % 3], value);
        high[i % 3] = Math.max(high[i % 3], value);
      }
      // Bent fingers come towards the palm, so the middle of the scene lies a little below the flat hand.
      this.centre = [0, 1, 2].map((axis) => (low[axis] + high[axis]) / 2);
      this.centre[1] -= 12;
      this.radius = 0.5 * Math.hypot(high[0] - low[0], 0.75 * (high[2] - low[2]));
    }

    setPreset(name) {
      const mirror = this.hand.side === "left" ? -1 : 1;
      this.yaw = mirror * PRESETS[name].yaw;
      this.pitch = PRESETS[name].pitch;
      this.zoom = 1;
    }

    /** Rows of the rotation from wrist-frame viewer points to the eye: right, up, towards the eye. */
    turn() {
      const cy = Math.cos(this.yaw), sy = Math.sin(this.yaw), cp = Math.cos(this.pitch), sp = Math.sin(this.pitch);
      // Columns act on (distal, dorsal, sideways) points; the cyclic order keeps the determinant +1.
      return [
        [0, sy, cy],
        [cp, -sp * cy, sp * sy],
        [sp, cp * cy, -cp * sy],
      ];
    }

    /** Scale of the view's half width and half height, and the eye's distance [mm]. */
    lens(width, height) {
      const focal = 1 / Math.tan(FIELD_OF_VIEW / 2);
      const aspect = width / height;
      const distance = 1.02 * this.radius * focal / Math.min(1, 1.28 * aspect) / this.zoom;
      return { distance, zoom: [focal / aspect, focal] };
    }

    /** Pixels (x right, y down) and depth (mm towards the eye) in one view of wrist-frame points. */
    project(points) {
      const width = this.canvas.clientWidth / this.nViews, height = this.canvas.clientHeight;
      const { distance, zoom } = this.lens(width, height);
      const rows = this.turn();
      return points.map((point) => {
        const centred = point.map((value, axis) => this.hand.shown[axis] * value - this.centre[axis]);
        const eye = rows.map((row) => row[0] * centred[0] + row[1] * centred[1] + row[2] * centred[2]);
        const w = distance - eye[2];
        return [(0.5 + 0.5 * zoom[0] * eye[0] / w) * width, (0.5 - 0.5 * zoom[1] * eye[1] / w) * height, eye[2]];
      });
    }

    prepare() {
      const gl = this.gl;
      const program = gl.createProgram();
      for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
      }
      gl.linkProgram(program);
      if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
        throw new Error(`hand shader: ${gl.getProgramInfoLog(program)}`);
      }
      gl.useProgram(program);
      this.uniform = Object.fromEntries(
        ["turn", "centre", "distance", "zoom", "colour", "rim"].map((name) => [name, gl.getUniformLocation(program, name)]),
      );
      this.buffers = ["position", "normal"].map((name) => {
        const buffer = gl.createBuffer();
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        gl.bufferData(gl.ARRAY_BUFFER, this.positions.byteLength, gl.DYNAMIC_DRAW);
        const location = gl.getAttribLocation(program, name);
        gl.enableVertexAttribArray(location);
        gl.vertexAttribPointer(location, 3, gl.FLOAT, false, 0, 0);
        return buffer;
      });
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.hand.triangles, gl.STATIC_DRAW);
      gl.enable(gl.DEPTH_TEST);
      // gl_FrontFacing is true outside: the skin's winding in the axes that are drawn.
      const sign = this.hand.outward * this.hand.shown[0] * this.hand.shown[1] * this.hand.shown[2];
      gl.frontFace(sign > 0 ? gl.CCW : gl.CW);
    }

    /** @param poses one {angles, colour: [r, g, b] 0-255, rim} per view */
    draw(poses) {
      const scale = Math.min(2, window.devicePixelRatio || 1);
      const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      if (this.gl) this.drawSkin(poses, width, height);
      else this.drawSticks(poses, scale);
    }

    drawSkin(poses, width, height) {
      const gl = this.gl;
      gl.viewport(0, 0, width, height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const across = width / this.nViews;
      const { distance, zoom } = this.lens(across, height);
      const rows = this.turn();
      const columns = [0, 1, 2].flatMap((column) => rows.map((row) => row[column]));
      gl.uniformMatrix3fv(this.uniform.turn, false, columns);
      gl.uniform3fv(this.uniform.centre, this.centre);
      gl.uniform1f(this.uniform.distance, distance);
      gl.uniform2fv(this.uniform.zoom, zoom);
      poses.forEach((pose, view) => {
        this.hand.skin(pose.angles, this.positions, this.normals);
        [this.positions, this.normals].forEach((values, i) => {
          gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
          gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
        });
        gl.viewport(Math.round(view * across), 0, Math.round(across), height);
        gl.uniform3fv(this.uniform.colour, pose.colour.map((value) => (value / 255) ** 2.2));
        gl.uniform1f(this.uniform.rim, pose.rim);
        gl.drawElements(gl.TRIANGLES, this.hand.triangles.length, gl.UNSIGNED_INT, 0);
      });
    }

    drawSticks(poses, scale) {
      const pen = this.flat;
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
      pen.lineCap = "round";
      poses.forEach((pose, view) => {
        const points = this.project(this.hand.landmarks(pose.angles));
        pen.strokeStyle = `rgb(${pose.colour})`;
        pen.save();
        pen.translate((view * this.canvas.clientWidth) / this.nViews, 0);
        const nearFirst = STICKS.map(([a, b]) => [points[a], points[b]]).sort((p, q) => p[0][2] + p[1][2] - q[0][2] - q[1][2]);
        for (const [from, to] of nearFirst) {
          pen.lineWidth = 5 + 0.02 * (from[2] + to[2]);
          pen.beginPath();
          pen.moveTo(from[0], from[1]);
          pen.lineTo(to[0], to[1]);
          pen.stroke();
        }
        pen.restore();
      });
    }

    rotate(dx, dy) {
      this.yaw += 0.01 * dx;
      this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + 0.01 * dy));
      this.onchange();
    }

    zoomBy(factor) {
      this.zoom = Math.max(0.5, Math.min(5, this.zoom * factor));
      this.onchange();
    }

    listen() {
      const canvas = this.canvas;
      const pointers = new Map();
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, [event.clientX, event.clientY]);
      });
      canvas.addEventListener("pointermove", (event) => {
        const before = pointers.get(event.pointerId);
        if (!before) return;
        const now = [event.clientX, event.clientY];
        if (pointers.size === 1) this.rotate(now[0] - before[0], now[1] - before[1]);
        else if (pointers.size === 2) {
          const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
          const spread = (point) => Math.max(10, Math.hypot(point[0] - other[0], point[1] - other[1]));
          this.zoomBy(spread(now) / spread(before));
        }
        pointers.set(event.pointerId, now);
      });
      for (const name of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
      }
      // A wheel over the page scrolls it; over a hand that was clicked, or with Ctrl (a pinch on a touch pad), it zooms.
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && document.activeElement !== canvas) return;
        event.preventDefault();
        this.zoomBy(Math.exp(-0.0015 * event.deltaY));
      }, { passive: false });
    }
  }

  Object.assign(emgpose, { HandView, PRESETS });
})(window.emgpose);
