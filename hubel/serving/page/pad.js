// The drawing area: strokes by mouse, finger, pen or keyboard; or a picture that lies on it.

import { strokeWidth } from "./ink.js";

const SIDE = 280;
const PEN_STEP = 7; // of the pen that the arrow keys move, in pixels of the canvas
const PAST = 60; // states that undo goes back to

export class Pad {
  // changed(): something was drawn, undone or cleared
  constructor(canvas, hint, changed) {
    Object.assign(this, { canvas, hint, changed, strokes: [], picture: null, from: null, past: [], now: null, pen: null, colour: "#202020" });
    this.prepare({ input: [1, 1, 1], ink: null });
    canvas.onpointerdown = (e) => this.begin(e);
    canvas.onpointermove = (e) => this.move(e);
    canvas.onpointerup = canvas.onpointercancel = (e) => e.pointerId === this.pointer && this.end();
    canvas.onkeydown = (e) => this.pressed(e);
    canvas.onkeyup = (e) => e.key === " " && this.end();
    canvas.onblur = () => {
      this.end();
      this.pen = null;
      this.paint();
    };
    canvas.style.touchAction = "none";
  }

  // For another network: its shape, and whether it takes ink on black. What was drawn stays.
  prepare({ input, ink }) {
    const [C, H, W] = input.length === 3 ? input : [1, 1, 1];
    this.past = [];
    this.ink = ink;
    this.coloured = C === 3;
    this.width = SIDE;
    this.height = Math.round((SIDE * H) / W) || SIDE;
    this.canvas.width = this.width;
    this.canvas.height = this.height;
    this.line = strokeWidth(SIDE, ink, Math.max(H, 1));
    this.paint();
  }

  get empty() {
    return !this.strokes.length && !this.picture;
  }

  // image: lies on the pad from now on; null for nothing   from: what its owner knows of it; comes back with undo
  show(image, from = null) {
    this.keep();
    Object.assign(this, { strokes: [], picture: image, from });
    this.paint();
    this.changed();
  }

  // Before anything changes: what undo goes back to.
  keep() {
    this.past.push({ strokes: this.strokes, picture: this.picture, from: this.from });
    if (this.past.length > PAST) this.past.shift();
  }

  undo() {
    if (!this.past.length) return;
    this.end();
    Object.assign(this, this.past.pop());
    this.paint();
    this.changed();
  }

  clear() {
    if (!this.empty) this.show(null);
  }

  place(e) {
    const at = this.canvas.getBoundingClientRect();
    return [((e.clientX - at.left) / at.width) * this.width, ((e.clientY - at.top) / at.height) * this.height];
  }

  // One pointer at a time: a second finger would draw a line from the first one's place.
  begin(e) {
    if (e.button || this.now) return;
    this.pointer = e.pointerId;
    this.pen = null;
    try {
      this.canvas.setPointerCapture(e.pointerId);
    } catch {
      // a pointer that is gone already: its stroke is a dot
    }
    this.start(this.place(e));
  }

  start(at) {
    this.keep();
    this.now = { colour: this.coloured ? this.colour : null, points: [at] };
    this.strokes = [...this.strokes, this.now];
    this.paint();
    this.changed();
  }

  move(e) {
    if (!this.now || this.pen || e.pointerId !== this.pointer) return;
    const all = e.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [e]) this.now.points.push(this.place(one));
    this.paint();
    this.changed();
  }

  end() {
    this.now = null;
  }

  pressed(e) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (e.key === " ") {
      e.preventDefault();
      this.pen ??= [this.width / 2, this.height / 2];
      if (!this.now) this.start([...this.pen]);
    } else if (way) {
      e.preventDefault();
      this.pen ??= [this.width / 2, this.height / 2];
      this.pen = this.pen.map((v, k) => Math.max(0, Math.min(k ? this.height : this.width, v + way[k] * PEN_STEP)));
      if (this.now) {
        this.now.points.push([...this.pen]);
        this.changed();
      }
      this.paint();
    } else if (e.key === "z" && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      this.undo();
    }
  }

  paint() {
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.draw(context);
    if (this.pen) {
      context.strokeStyle = "#f59a3c";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...this.pen, this.line / 2, 0, 7);
      context.stroke();
    }
    this.hint.hidden = !this.empty;
  }

  draw(context) {
    const { width, height } = this;
    const onBlack = this.ink !== null || !this.coloured || this.picture; // the margins of a picture are black to the network, too
    context.fillStyle = onBlack ? "#000" : "#fff";
    context.fillRect(0, 0, width, height);
    if (this.picture) {
      const scale = Math.min(width / this.picture.width, height / this.picture.height);
      const [w, h] = [this.picture.width * scale, this.picture.height * scale];
      context.imageSmoothingEnabled = scale < 3;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.picture, (width - w) / 2, (height - h) / 2, w, h);
    }
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.line;
    for (const { colour, points } of this.strokes) {
      context.strokeStyle = (this.coloured && colour) || (onBlack ? "#fff" : "#202020");
      const [first, ...rest] = points;
      context.beginPath();
      context.moveTo(...first);
      if (!rest.length) context.lineTo(first[0] + 0.1, first[1]);
      // Through the middles between points, so that a quick stroke is round.
      rest.forEach((p, n) => {
        const next = rest[n + 1];
        next ? context.quadraticCurveTo(...p, (p[0] + next[0]) / 2, (p[1] + next[1]) / 2) : context.lineTo(...p);
      });
      context.stroke();
    }
  }

  // What was drawn as (h, w) in 0..1, ink is 1.
  grey() {
    const { width, height } = this;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    this.draw(context);
    const { data } = context.getImageData(0, 0, width, height);
    return Float32Array.from({ length: width * height }, (_, p) => data[4 * p] / 255);
  }

  // What lies on the pad as a PNG in base64: a picture alone in its own size.
  png() {
    const { width, height } = this.strokes.length ? this : this.picture;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    if (this.strokes.length) this.draw(canvas.getContext("2d"));
    else canvas.getContext("2d").drawImage(this.picture, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
  }
}
