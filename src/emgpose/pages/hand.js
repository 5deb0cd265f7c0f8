/* The hand as data in a browser: forward kinematics and skinning from compact arrays.
 *
 * Frame, units and order are those of emgpose.kinematics: millimetres and radians in the wrist frame (x distal, y dorsal,
 * z radial for a right hand). These axes are left-handed for a right hand, so a viewer draws `shown` points instead.
 */
window.emgpose = window.emgpose || {};
(function (emgpose) {
  "use strict";

  const ARRAYS = {
    float32: Float32Array, int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array, uint32: Uint32Array,
  };
  const N_BONES = 17;
  const JOINTS_PER_FINGER = 4;
  const BONES_PER_VERTEX = 4;

  /** An array from html_file.packed: little-endian, as every browser's machine is. */
  function unpack(packed) {
    const text = atob(packed.base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new ARRAYS[packed.dtype](bytes.buffer);
  }

  /** Rotation by `angle` about `axis` through `rest`, as 3 x 4 numbers, row by row. */
  function jointTransform(axis, rest, angle) {
    const [x, y, z] = axis;
    const c = Math.cos(angle), s = Math.sin(angle), k = 1 - c;
    const m = [
      c + x * x * k, x * y * k - z * s, x * z * k + y * s, 0,
      y * x * k + z * s, c + y * y * k, y * z * k - x * s, 0,
      z * x * k - y * s, z * y * k + x * s, c + z * z * k, 0,
    ];
    for (let row = 0; row < 12; row += 4) {
      m[row + 3] = rest[row / 4] - (m[row] * rest[0] + m[row + 1] * rest[1] + m[row + 2] * rest[2]);
    }
    return m;
  }

  function composed(a, b) {
    const m = new Array(12);
    for (let row = 0; row < 12; row += 4) {
      for (let column = 0; column < 4; column++) {
        m[row + column] = a[row] * b[column] + a[row + 1] * b[4 + column] + a[row + 2] * b[8 + column]
          + (column === 3 ? a[row + 3] : 0);
      }
    }
    return m;
  }

  class Hand {
    constructor(payload) {
      this.name = payload.name;
      this.side = payload.side;
      this.axes = unpack(payload.joint_axes);
      this.rests = unpack(payload.joint_rest_mm);
      this.landmarkRests = unpack(payload.landmark_rest_mm);
      this.landmarkWeights = unpack(payload.landmark_weights);
      this.restVertices = unpack(payload.vertices_mm);
      this.triangles = unpack(payload.triangles);
      this.skinWeights = Float32Array.from(unpack(payload.skin_weights), (count) => count / 65535);
      this.skinBones = unpack(payload.skin_bones);
      this.nVertices = this.restVertices.length / 3;
      this.nLandmarks = this.landmarkRests.length / 3;
      // What a right-handed viewer draws: x and z change sign so that a left hand is a right one's mirror image, fingers alike.
      this.shown = this.side === "left" ? [-1, 1, 1] : [1, 1, -1];
      this.outward = Math.sign(this.signedVolume()) || 1;
    }

    /** Transforms of the 17 bones (12 numbers each): root, wrist, then three per finger. */
    bones(jointAngles) {
      const frames = new Float32Array(12 * N_BONES);
      for (let bone = 0; bone < 2; bone++) frames.set([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], 12 * bone);
      for (let finger = 0; finger < 5; finger++) {
        let frame = null;
        for (let k = 0; k < JOINTS_PER_FINGER; k++) {
          const joint = JOINTS_PER_FINGER * finger + k;
          const local = jointTransform(
            this.axes.subarray(3 * joint, 3 * joint + 3), this.rests.subarray(3 * joint, 3 * joint + 3), jointAngles[joint],
          );
          frame = frame ? composed(frame, local) : local;
          if (k > 0) frames.set(frame, 12 * (2 + 3 * finger + k - 1));
        }
      }
      return frames;
    }

    /** The 21 landmarks as [x, y, z] in the wrist frame [mm]. */
    landmarks(jointAngles) {
      const frames = this.bones(jointAngles);
      const points = [];
      for (let i = 0; i < this.nLandmarks; i++) {
        const rest = this.landmarkRests.subarray(3 * i, 3 * i + 3);
        const point = [0, 0, 0];
        for (let bone = 0; bone < N_BONES; bone++) {
          const weight = this.landmarkWeights[N_BONES * i + bone];
          if (weight) addMoved(point, frames, 12 * bone, rest, weight);
        }
        points.push(point);
      }
      return points;
    }

    /** The skin in viewer axes: `positions` and `normals`, three numbers a vertex, are overwritten. */
    skin(jointAngles, positions, normals) {
      const frames = this.bones(jointAngles);
      const [sx, sy, sz] = this.shown;
      const point = [0, 0, 0];
      for (let vertex = 0; vertex < this.nVertices; vertex++) {
        const rest = this.restVertices.subarray(3 * vertex, 3 * vertex + 3);
        point.fill(0);
        for (let slot = BONES_PER_VERTEX * vertex; slot < BONES_PER_VERTEX * (vertex + 1); slot++) {
          if (this.skinWeights[slot]) addMoved(point, frames, 12 * this.skinBones[slot], rest, this.skinWeights[slot]);
        }
        positions[3 * vertex] = sx * point[0];
        positions[3 * vertex + 1] = sy * point[1];
        positions[3 * vertex + 2] = sz * point[2];
      }
      this.smoothNormals(positions, normals);
    }

    /** Normals as the mean of the triangles around a vertex, weighted by area; they point outwards. */
    smoothNormals(positions, normals) {
      normals.fill(0);
      const t = this.triangles, p = positions;
      // Changing the sign of one axis turns triangles inside out.
      const sign = this.outward * this.shown[0] * this.shown[1] * this.shown[2];
      for (let i = 0; i < t.length; i += 3) {
        const a = 3 * t[i], b = 3 * t[i + 1], c = 3 * t[i + 2];
        const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
        const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
        const nx = sign * (uy * vz - uz * vy), ny = sign * (uz * vx - ux * vz), nz = sign * (ux * vy - uy * vx);
        for (const corner of [a, b, c]) {
          normals[corner] += nx;
          normals[corner + 1] += ny;
          normals[corner + 2] += nz;
        }
      }
    }

    signedVolume() {
      const t = this.triangles, p = this.restVertices;
      let volume = 0;
      for (let i = 0; i < t.length; i += 3) {
        const [a, b, c] = [3 * t[i], 3 * t[i + 1], 3 * t[i + 2]];
        volume += p[a] * (p[b + 1] * p[c + 2] - p[b + 2] * p[c + 1])
          + p[a + 1] * (p[b + 2] * p[c] - p[b] * p[c + 2])
          + p[a + 2] * (p[b] * p[c + 1] - p[b + 1] * p[c]);
      }
      return volume;
    }
  }

  function addMoved(sum, frames, at, point, weight) {
    for (let axis = 0; axis < 3; axis++) {
      const row = at + 4 * axis;
      sum[axis] += weight
        * (frames[row] * point[0] + frames[row + 1] * point[1] + frames[row + 2] * point[2] + frames[row + 3]);
    }
  }

  /** A moving hand: joint angles per frame, and the frames in which they are usable. */
  class Track {
    constructor(payload, nFrames, nJoints) {
      this.name = payload.name;
      this.nJoints = nJoints;
      this.counts = unpack(payload.angles);
      this.scale = payload.scale_rad;
      this.validRuns = payload.valid_runs;
      this.valid = new Uint8Array(nFrames);
      for (const [start, stop] of payload.valid_runs) this.valid.fill(1, start, stop);
    }

    angle(frame, joint) {
      return this.counts[frame * this.nJoints + joint] * this.scale[joint];
    }

    /** Joint angles at a frame; between two frames that are both usable, a straight line. */
    pose(frame) {
      const first = Math.floor(frame);
      const share = first + 1 < this.valid.length && this.valid[first] && this.valid[first + 1] ? frame - first : 0;
      return Array.from({ length: this.nJoints }, (_, joint) => {
        const angle = this.angle(first, joint);
        return share ? angle + share * (this.angle(first + 1, joint) - angle) : angle;
      });
    }
  }

  Object.assign(emgpose, { Hand, Track, unpack });
})(window.emgpose);
