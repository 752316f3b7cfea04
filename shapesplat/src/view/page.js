"use strict";
// Draws the Gaussians of this page: sorted by depth in a worker, blended back to front as ellipses (Zwicker et al. 2001, Kerbl et al. 2023).

const scene = JSON.parse(document.getElementById("scene").textContent);
const element = (id) => document.getElementById(id);
const canvas = element("canvas");

/* ---------------------------------------------------------------- what is in the page */

/** Bytes of a Gaussian: two texels of four 32-bit words. */
const RECORD = 32;
/** Gaussians in a row of the texture of records, texels in a row of the texture of harmonics. */
const ROW = 1024, HARMONICS_ROW = 4096;

async function unpack(text) {
  let packed;
  if (Uint8Array.fromBase64) packed = Uint8Array.fromBase64(text);
  else {
    const binary = atob(text);
    packed = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Byte planes, one a byte of a record of `size`, as records `stride` bytes apart, zeros up to `total`. */
function records(planes, count, size, stride, total) {
  const out = new Uint8Array(total);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0, from = plane * count, to = plane; i < count; i++, from++, to += stride) out[to] = planes[from];
  }
  return out;
}

/* ---------------------------------------------------------------- order */

/** The worker's whole program: positions once, then one view after another; answers with indices, the farthest first. */
function sorter(scope) {
  let positions, keys;
  const counts = new Uint32Array(65536);
  scope.onmessage = ({ data }) => {
    if (data.positions) { positions = data.positions; keys = new Uint16Array(positions.length / 3); return; }
    const [x, y, z, w] = data.depth, scale = data.distance, n = keys.length;
    counts.fill(0);
    for (let i = 0, p = 0; i < n; i++, p += 3) {
      const depth = x * positions[p] + y * positions[p + 1] + z * positions[p + 2] + w;
      // Finest around what is looked at, coarse far away; what lies behind comes last.
      const key = depth > 0 ? 65535 - (65535 * depth / (depth + scale)) | 0 : 65535;
      counts[keys[i] = key]++;
    }
    for (let k = 0, first = 0; k < 65536; k++) { const count = counts[k]; counts[k] = first; first += count; }
    const order = new Uint32Array(n);
    for (let i = 0; i < n; i++) order[counts[keys[i]]++] = i;
    scope.postMessage({ order }, [order.buffer]);
  };
}

/** A worker, or where the browser allows none the same program here. */
function startSorter(positions, done) {
  let worker;
  try {
    worker = new Worker(URL.createObjectURL(new Blob([`(${sorter})(self)`], { type: "text/javascript" })));
  } catch {
    const here = { postMessage: done };
    sorter(here);
    here.onmessage({ data: { positions } });
    return (request) => setTimeout(() => here.onmessage({ data: request }));
  }
  worker.onmessage = ({ data }) => done(data);
  worker.onerror = (event) => fail(event.message);
  worker.postMessage({ positions });
  return (request) => worker.postMessage(request);
}

/* ---------------------------------------------------------------- drawing */

const VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp isampler2D;
uniform usampler2D records; uniform isampler2D harmonics;
uniform mat3 turn; uniform vec3 eye; uniform vec2 focal, viewport, limit; uniform float near;
uniform int degree, stored; uniform vec4 ranges; uniform bool antialiased;
in vec2 corner; in uint index;
out vec4 colour; out vec2 at;

vec3 coefficient(int i) {
  int texel = int(index) * stored + i;
  return vec3(texelFetch(harmonics, ivec2(texel % ${HARMONICS_ROW}, texel / ${HARMONICS_ROW}), 0).rgb) / 127.0;
}

vec3 seen(vec3 d) {
  float x = d.x, y = d.y, z = d.z, xx = x * x, yy = y * y, zz = z * z;
  vec3 sum = ranges.x * 0.4886025119 * (-y * coefficient(0) + z * coefficient(1) - x * coefficient(2));
  if (degree > 1) sum += ranges.y * (1.0925484306 * (x * y * coefficient(3) - y * z * coefficient(4) - x * z * coefficient(6))
    + 0.3153915653 * (2.0 * zz - xx - yy) * coefficient(5) + 0.5462742153 * (xx - yy) * coefficient(7));
  if (degree > 2) sum += ranges.z * (-0.5900435899 * (y * (3.0 * xx - yy) * coefficient(8) + x * (xx - 3.0 * yy) * coefficient(14))
    + 2.8906114426 * x * y * z * coefficient(9) + 1.4453057213 * z * (xx - yy) * coefficient(13)
    - 0.4570457995 * (4.0 * zz - xx - yy) * (y * coefficient(10) + x * coefficient(12))
    + 0.3731763326 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * coefficient(11));
  return sum;
}

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  ivec2 texel = ivec2(int(index) % ${ROW} * 2, int(index) / ${ROW});
  uvec4 a = texelFetch(records, texel, 0), b = texelFetch(records, texel + ivec2(1, 0), 0);
  vec3 position = uintBitsToFloat(a.xyz);
  vec3 p = turn * (position - eye);
  if (p.z < near) return;
  vec2 rg = unpackHalf2x16(b.z), ba = unpackHalf2x16(b.w);
  float alpha = ba.y;

  vec3 scale = exp(vec3(unpackHalf2x16(b.x).y, unpackHalf2x16(b.y)));
  vec3 q = vec3(unpackSnorm2x16(a.w), unpackSnorm2x16(b.x).x);
  float w = sqrt(max(0.0, 1.0 - dot(q, q)));
  mat3 r = mat3(
    1.0 - 2.0 * (q.y * q.y + q.z * q.z), 2.0 * (q.x * q.y + w * q.z), 2.0 * (q.x * q.z - w * q.y),
    2.0 * (q.x * q.y - w * q.z), 1.0 - 2.0 * (q.x * q.x + q.z * q.z), 2.0 * (q.y * q.z + w * q.x),
    2.0 * (q.x * q.z + w * q.y), 2.0 * (q.y * q.z - w * q.x), 1.0 - 2.0 * (q.x * q.x + q.y * q.y));
  mat3 m = turn * r;
  m[0] *= scale.x; m[1] *= scale.y; m[2] *= scale.z;

  vec2 t = clamp(p.xy / p.z, -limit, limit);
  // Rows of the projection's Jacobian, applied to the ellipsoid's axes.
  vec3 u = focal.x / p.z * (vec3(m[0].x, m[1].x, m[2].x) - t.x * vec3(m[0].z, m[1].z, m[2].z));
  vec3 v = focal.y / p.z * (vec3(m[0].y, m[1].y, m[2].y) - t.y * vec3(m[0].z, m[1].z, m[2].z));
  float uu = dot(u, u), vv = dot(v, v), uv = dot(u, v);
  float sharp = uu * vv - uv * uv;
  uu += 0.3; vv += 0.3;
  float blurred = uu * vv - uv * uv;
  if (antialiased) alpha *= sqrt(max(0.0, sharp / blurred));
  if (alpha < 1.0 / 255.0) return;

  float mid = 0.5 * (uu + vv), spread = length(vec2(0.5 * (uu - vv), uv));
  float major = mid + spread, minor = max(mid - spread, 0.05);
  vec2 axis = abs(uv) > 1e-6 * mid ? normalize(vec2(uv, major - uu)) : uu >= vv ? vec2(1.0, 0.0) : vec2(0.0, 1.0);
  float reach = sqrt(2.0 * log(255.0 * alpha));
  at = corner * reach;
  vec2 offset = at.x * min(sqrt(major), 2048.0) * axis + at.y * min(sqrt(minor), 2048.0) * vec2(-axis.y, axis.x);
  vec2 centre = p.xy / p.z * focal;
  if (any(greaterThan(abs(centre) - reach * sqrt(major), 0.5 * viewport))) return;
  vec2 ndc = (centre + offset) / (0.5 * viewport);

  vec3 rgb = 0.5 + 0.2820947918 * vec3(rg, ba.x);
  if (degree > 0) rgb += seen(normalize(position - eye));
  colour = vec4(max(rgb, 0.0), alpha);
  gl_Position = vec4(ndc.x, -ndc.y, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour; in vec2 at; out vec4 result;
void main() {
  float alpha = min(0.99, colour.a * exp(-0.5 * dot(at, at)));
  if (alpha < 1.0 / 255.0) discard;
  result = vec4(min(colour.rgb, 1.0) * alpha, alpha);
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.bindAttribLocation(made, 0, "corner");
  gl.bindAttribLocation(made, 1, "index");
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return made;
}

function texture(gl, unit, internal, format, type, width, height, values) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, values);
}

/** The scene on the graphics card; `draw` and `setOrder` are all that is asked of it. */
function renderer(bytes) {
  const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });
  if (!gl) throw new Error("this page needs WebGL 2, which this browser or its graphics driver does not offer");
  const n = scene.count, height = Math.ceil(n / ROW);
  const longest = gl.getParameter(gl.MAX_TEXTURE_SIZE);
  if (height > longest) throw new Error(`${n} Gaussians are more than this graphics card takes (${ROW * longest})`);
  const used = program(gl);
  gl.useProgram(used);
  const uniform = (name) => gl.getUniformLocation(used, name);
  const packed = records(bytes, n, RECORD, RECORD, height * ROW * RECORD);
  texture(gl, 0, gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, ROW * 2, height, new Uint32Array(packed.buffer));
  gl.uniform1i(uniform("records"), 0);
  const words = new Float32Array(packed.buffer), positions = new Float32Array(3 * n), alphas = new Float32Array(n);
  const halves = new Uint16Array(packed.buffer);
  for (let i = 0; i < n; i++) {
    positions.set(words.subarray(8 * i, 8 * i + 3), 3 * i);
    alphas[i] = half(halves[16 * i + 15]);
  }
  const stored = scene.shown * (scene.shown + 2);
  let lines = Math.ceil(n * stored / HARMONICS_ROW), shown = scene.shown;
  if (lines > longest) { lines = 0; shown = 0; }
  const size = Math.max(1, lines) * HARMONICS_ROW * 4;
  const coefficients = lines ? records(bytes.subarray(n * RECORD), n * stored, 3, 4, size) : new Uint8Array(size);
  texture(gl, 1, gl.RGBA8I, gl.RGBA_INTEGER, gl.BYTE, HARMONICS_ROW, Math.max(1, lines), new Int8Array(coefficients.buffer));
  gl.uniform1i(uniform("harmonics"), 1);
  gl.uniform1i(uniform("stored"), stored);
  gl.uniform4f(uniform("ranges"), ...scene.ranges, 0);
  gl.uniform1i(uniform("antialiased"), scene.antialiased);

  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.enableVertexAttribArray(1);
  gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_INT, 0, 0);
  gl.vertexAttribDivisor(1, 1);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  gl.disable(gl.DEPTH_TEST);
  const at = Object.fromEntries(["turn", "eye", "focal", "viewport", "limit", "near", "degree"].map((name) => [name, uniform(name)]));
  let sorted = 0;
  return {
    positions, alphas, shown,
    setOrder(order) { gl.bufferData(gl.ARRAY_BUFFER, order, gl.DYNAMIC_DRAW); sorted = order.length; },
    draw(view, ground, degree) {
      const { width, height } = canvas, focal = view.focal(width, height);
      gl.viewport(0, 0, width, height);
      gl.clearColor(...ground, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (!sorted) return;
      gl.uniformMatrix3fv(at.turn, true, [...view.right, ...view.down, ...view.forward]);
      gl.uniform3fv(at.eye, view.eye);
      gl.uniform2f(at.focal, focal, focal);
      gl.uniform2f(at.viewport, width, height);
      gl.uniform2f(at.limit, 0.65 * width / focal, 0.65 * height / focal);
      gl.uniform1f(at.near, view.distance * 0.01);
      gl.uniform1i(at.degree, degree);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, sorted);
    },
  };
}

/** A float of 16 bits. */
function half(bits) {
  const exponent = bits >> 10 & 31, rest = bits & 1023, sign = bits & 32768 ? -1 : 1;
  if (exponent === 31) return rest ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
}

/* ---------------------------------------------------------------- the camera */

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const sum = (...terms) => [0, 1, 2].map((k) => terms.reduce((total, [factor, v]) => total + factor * v[k], 0));
const AXES = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]];
const AXIS_NAMES = ["+x", "−x", "+y", "−y", "+z", "−z"];
/** 1 in right-handed frames, −1 in left-handed ones. */
const HAND = Math.sign(dot(cross(scene.right, scene.up), scene.forward)) < 0 ? 1 : -1;
const FIELD = 40 * Math.PI / 180;

function firstView() {
  return { target: [...scene.centre], distance: scene.radius / Math.sin(FIELD / 2) * 1.22, yaw: 0.45, pitch: 0.28, up: scene.up };
}

/** Where the camera is and what its axes are, of a state of turns and distances. */
function viewOf(state) {
  const { up, yaw, pitch, target, distance } = state;
  // The frame's own forward, unless that is up now.
  const ahead = [scene.forward, scene.right, scene.up].find((axis) => Math.abs(dot(axis, up)) < 0.5);
  const side = sum([HAND, cross(ahead, up)]);
  const level = sum([Math.cos(yaw), ahead], [Math.sin(yaw), side]);
  const forward = sum([Math.cos(pitch), level], [-Math.sin(pitch), up]);
  const right = sum([Math.cos(yaw), side], [-Math.sin(yaw), ahead]);
  const down = sum([-Math.cos(pitch), up], [-Math.sin(pitch), level]);
  const eye = sum([1, target], [-distance, forward]);
  // The narrower side sees the field.
  return { eye, forward, right, down, distance, focal: (w, h) => 0.5 * Math.min(w, h) / Math.tan(FIELD / 2) };
}

/* ---------------------------------------------------------------- the page */

const GROUNDS = [["Night", "#101114"], ["Grey", "#6f747c"], ["Paper", "#f4f3f0"]];
let goal = firstView(), state = { ...goal, target: [...goal.target] }, ground = "#101114", degree = 0, spinning = false;
let drawn, sort, isSorting = false, sortedFor, isDirty = true, wasStill, last = 0;

function fail(message) {
  document.documentElement.classList.remove("ready");
  element("message").textContent = message;
  document.documentElement.dataset.status = `failed: ${message}`;
}

function resize() {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; isDirty = true; }
}

function requestSort(view) {
  const depth = [...view.forward, -dot(view.forward, view.eye)];
  const isSame = sortedFor && depth.every((v, k) => v === sortedFor[k]);
  if (isSorting || isSame) return;
  isSorting = true;
  sortedFor = depth;
  sort({ depth, distance: view.distance });
}

function frame(now) {
  requestAnimationFrame(frame);
  resize();
  const seconds = Math.min(0.1, (now - last) / 1000), share = 1 - Math.exp(-16 * seconds);
  last = now;
  if (spinning) { goal.yaw += 0.35 * seconds; isDirty = true; }
  for (const key of ["yaw", "pitch", "distance"]) {
    const off = goal[key] - state[key];
    if (off) { state[key] = Math.abs(off) < 1e-5 * Math.abs(goal.distance) ? goal[key] : state[key] + share * off; isDirty = true; }
  }
  for (let k = 0; k < 3; k++) {
    const off = goal.target[k] - state.target[k];
    if (off) { state.target[k] = Math.abs(off) < 1e-5 * goal.distance ? goal.target[k] : state.target[k] + share * off; isDirty = true; }
  }
  state.up = goal.up;
  const isStill = !isDirty && !isSorting;
  if (isDirty) {
    const view = viewOf(state);
    requestSort(view);
    isDirty = false;
    drawn.draw(view, [1, 3, 5].map((k) => parseInt(ground.slice(k, k + 2), 16) / 255), degree);
  }
  if (isStill !== wasStill) document.documentElement.dataset.still = wasStill = isStill;
}

function setGround(colour) {
  ground = colour;
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  document.documentElement.classList.toggle("light", 0.299 * r + 0.587 * g + 0.114 * b > 140);
  for (const swatch of document.querySelectorAll(".swatch")) swatch.setAttribute("aria-checked", swatch.dataset.colour === colour);
  isDirty = true;
}

function setDegree(value) {
  degree = value;
  for (const button of element("degrees").children) button.setAttribute("aria-checked", Number(button.textContent) === value);
  isDirty = true;
}

function setUp(up) {
  goal.up = up;
  element("axis").textContent = AXIS_NAMES[AXES.findIndex((axis) => dot(axis, up) > 0.5)];
  sortedFor = undefined;
  isDirty = true;
}

function spin(is) {
  spinning = is;
  element("turntable").setAttribute("aria-pressed", is);
}

function reset() {
  const up = goal.up;
  goal = { ...firstView(), up };
  // The shorter way round.
  goal.yaw += Math.round((state.yaw - goal.yaw) / (2 * Math.PI)) * 2 * Math.PI;
  spin(false);
  isDirty = true;
}

function help(is) {
  element("help").hidden = !is;
  element("question").setAttribute("aria-pressed", is);
}

const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen())?.catch(() => {});
const nextUp = () => setUp(AXES[(AXES.findIndex((axis) => dot(axis, goal.up) > 0.5) + 1) % 6]);
const nextGround = () => setGround(GROUNDS[(GROUNDS.findIndex(([, colour]) => colour === ground) + 1) % GROUNDS.length][1]);

function turnBy(dx, dy) {
  goal.yaw += dx;
  goal.pitch = Math.max(-1.55, Math.min(1.55, goal.pitch + dy));
  document.body.classList.add("moved");
}

function zoomBy(factor) {
  const distance = goal.distance * factor, farthest = 400 * scene.radius;
  goal.distance = Math.max(1e-3 * scene.radius, Math.min(farthest, distance));
  document.body.classList.add("moved");
}

/** Moves the target with the pointer, by pixels of the page. */
function moveBy(dx, dy) {
  const view = viewOf(state), unit = goal.distance / view.focal(canvas.clientWidth, canvas.clientHeight);
  goal.target = sum([1, goal.target], [-dx * unit, view.right], [-dy * unit, view.down]);
  document.body.classList.add("moved");
}

/** Turns about the nearest Gaussian under a point of the page. */
function centreOn(x, y) {
  const view = viewOf(state), focal = view.focal(canvas.clientWidth, canvas.clientHeight);
  const { positions, alphas } = drawn;
  let nearest = Infinity, found = -1;
  for (let i = 0; i < alphas.length; i++) {
    if (alphas[i] < 0.3) continue;
    const p = sum([1, positions.subarray(3 * i, 3 * i + 3)], [-1, view.eye]), depth = dot(p, view.forward);
    if (depth < view.distance * 0.01 || depth >= nearest) continue;
    const u = focal * dot(p, view.right) / depth + canvas.clientWidth / 2, v = focal * dot(p, view.down) / depth + canvas.clientHeight / 2;
    if ((u - x) ** 2 + (v - y) ** 2 < 64) { nearest = depth; found = i; }
  }
  if (found < 0) return;
  goal.target = [...positions.subarray(3 * found, 3 * found + 3)];
  goal.distance = Math.max(1e-3 * scene.radius, nearest);
}

function listen() {
  const held = new Map();
  const pair = () => {
    const [a, b] = [...held.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, span: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    canvas.classList.add("held");
    spin(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const old = held.size === 2 && pair();
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const dx = event.clientX - before.x, dy = event.clientY - before.y;
    if (old) {
      const now = pair();
      if (now.span > 0 && old.span > 0) zoomBy(old.span / now.span);
      moveBy(now.x - old.x, now.y - old.y);
    } else if (held.size === 1) {
      const moves = event.shiftKey || event.buttons & 6;
      if (moves) moveBy(dx, dy); else turnBy(0.0065 * dx, 0.0065 * dy);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
    held.delete(event.pointerId);
    if (!held.size) canvas.classList.remove("held");
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 24 : event.deltaMode === 2 ? 400 : 1;
    zoomBy(Math.exp(Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0016)));
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", (event) => centreOn(event.clientX, event.clientY));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      ArrowLeft: () => turnBy(-0.12, 0), ArrowRight: () => turnBy(0.12, 0), ArrowUp: () => turnBy(0, -0.12), ArrowDown: () => turnBy(0, 0.12),
      "+": () => zoomBy(0.85), "=": () => zoomBy(0.85), "-": () => zoomBy(1 / 0.85), "−": () => zoomBy(1 / 0.85),
      r: reset, t: () => spin(!spinning), u: nextUp, b: nextGround, f: fullScreen,
      h: () => document.body.classList.toggle("bare"), "?": () => help(element("help").hidden), Escape: () => help(false),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (does) { does(); event.preventDefault(); }
  });
  canvas.addEventListener("webglcontextlost", () => fail("the graphics driver took the picture away; reload the page"));
}

function furnish() {
  if (matchMedia("(pointer: coarse)").matches) element("hint").textContent = "drag to turn · pinch to zoom · two fingers to move";
  element("name").textContent = scene.name;
  const gaussians = scene.count === 1 ? "Gaussian" : "Gaussians";
  element("count").textContent = `${scene.count.toLocaleString("en-US")} ${gaussians}`;
  element("degree").textContent = `degree ${scene.degree}` + (drawn.shown < scene.degree ? `, shown up to ${drawn.shown}` : "");
  for (let value = 0; drawn.shown > 0 && value <= drawn.shown; value++) {
    const button = document.createElement("button");
    button.textContent = value;
    button.title = `Spherical harmonics up to degree ${value}`;
    button.setAttribute("role", "radio");
    button.onclick = () => setDegree(value);
    element("degrees").append(button);
  }
  for (const [name, colour] of GROUNDS) {
    const swatch = document.createElement("button");
    swatch.className = "swatch";
    swatch.title = `${name} (B)`;
    swatch.dataset.colour = colour;
    swatch.setAttribute("role", "radio");
    swatch.append(Object.assign(document.createElement("i"), { style: `background:${colour}` }));
    swatch.onclick = () => setGround(colour);
    element("grounds").append(swatch);
  }
  const own = Object.assign(document.createElement("button"), { className: "swatch own", title: "Another colour" });
  const input = Object.assign(document.createElement("input"), { type: "color", value: "#2b4a6f" });
  input.setAttribute("aria-label", "Another colour");
  input.oninput = () => setGround(input.value);
  own.append(document.createElement("i"), input);
  element("grounds").append(own);
  element("turntable").onclick = () => spin(!spinning);
  element("up").onclick = nextUp;
  element("reset").onclick = reset;
  element("full").onclick = fullScreen;
  element("question").onclick = () => help(element("help").hidden);
}

(async () => {
  addEventListener("error", (event) => fail(event.message));
  addEventListener("unhandledrejection", (event) => fail(String(event.reason?.message ?? event.reason)));
  const holder = element("data"), bytes = await unpack(holder.textContent.trim());
  holder.remove();
  drawn = renderer(bytes);
  furnish();
  sort = startSorter(drawn.positions.slice(), ({ order }) => {
    isSorting = false;
    isDirty = true;
    drawn.setOrder(order);
    document.documentElement.classList.add("ready");
    Object.assign(document.documentElement.dataset, { status: "drawn", count: scene.count, degree: scene.degree });
  });
  setUp(scene.up);
  setGround(GROUNDS[0][1]);
  setDegree(drawn.shown);
  listen();
  requestAnimationFrame(frame);
})();
