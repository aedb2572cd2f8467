// The mesh: one pixel a core in a small picture, scaled up; borders, routes and cursor on top.
class Mesh {
  constructor(canvas, report, arrays) {
    this.canvas = canvas;
    this.report = report;
    this.arrays = arrays;
    const [meshX, meshY, chipsX, chipsY] = report.mesh;
    this.width = meshX * chipsX;
    this.height = meshY * chipsY;
    this.picture = element("canvas");
    this.picture.width = this.width;
    this.picture.height = this.height;
    this.coreAt = new Int32Array(this.width * this.height).fill(-1);
    for (let i = 0; i < report.cores; i++) this.coreAt[arrays.y[i] * this.width + arrays.x[i]] = i;
    this.zoom = 1;
    this.center = [this.width / 2, this.height / 2];
    this.map = report.maps[0];
    this.core = -1;
    this.showRoutes = this.showBorders = true;
  }

  get cell() { // screen pixels a core
    const box = this.canvas.getBoundingClientRect();
    return Math.min(box.width / this.width, box.height / this.height) * this.zoom;
  }

  toScreen(x, y) {
    const box = this.canvas.getBoundingClientRect();
    return [(x - this.center[0]) * this.cell + box.width / 2, (y - this.center[1]) * this.cell + box.height / 2];
  }

  toMesh(left, top) {
    const box = this.canvas.getBoundingClientRect();
    return [(left - box.width / 2) / this.cell + this.center[0], (top - box.height / 2) / this.cell + this.center[1]];
  }

  coreUnder(left, top) {
    const [x, y] = this.toMesh(left, top).map(Math.floor);
    return x < 0 || y < 0 || x >= this.width || y >= this.height ? -1 : this.coreAt[y * this.width + x];
  }

  setZoom(zoom, left, top) {
    const box = this.canvas.getBoundingClientRect();
    const [fixedLeft, fixedTop] = [left ?? box.width / 2, top ?? box.height / 2];
    const before = this.toMesh(fixedLeft, fixedTop);
    this.zoom = Math.min(Math.max(zoom, 1), 64);
    const after = this.toMesh(fixedLeft, fixedTop);
    this.moveBy(before[0] - after[0], before[1] - after[1]);
  }

  moveBy(dx, dy) {
    if (this.zoom === 1) this.center = [this.width / 2, this.height / 2];
    else {
      this.center = [
        Math.min(Math.max(this.center[0] + dx, 0), this.width), Math.min(Math.max(this.center[1] + dy, 0), this.height)];
    }
    this.draw();
  }

  follow(core) { // pans where the core is out of sight
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [this.arrays.x[core] + 0.5, this.arrays.y[core] + 0.5];
    const [left, top] = this.toScreen(x, y);
    if (left < 0 || top < 0 || left > box.width || top > box.height) this.center = [x, y];
  }

  paint(map) { // the small picture
    this.map = map;
    const free = rgb(style("--free")), defect = rgb(style("--defect"));
    const image = new ImageData(this.width, this.height);
    const put = (at, color) => image.data.set([color[0], color[1], color[2], 255], at * 4);
    for (let at = 0; at < this.coreAt.length; at++) put(at, free);
    for (const [x, y] of this.report.defects) put(y * this.width + x, defect);
    if (map.kind === "layer") {
      const colors = this.report.layers.map((layer) => rgb(layer.color));
      for (let i = 0; i < this.report.cores; i++) {
        put(this.arrays.y[i] * this.width + this.arrays.x[i], colors[this.arrays.layer[i]] ?? free);
      }
    } else if (map.kind === "link") {
      const size = this.coreAt.length, loads = this.arrays[map.array];
      for (let at = 0; at < size; at++) {
        const load = Math.max(loads[at], loads[size + at], loads[2 * size + at], loads[3 * size + at]);
        if (load > 0) put(at, heat(load / (map.max || 1)));
      }
    } else {
      const values = this.arrays[map.array];
      for (let i = 0; i < this.report.cores; i++) {
        put(this.arrays.y[i] * this.width + this.arrays.x[i], heat(values[i] / (map.max || 1)));
      }
    }
    this.picture.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  draw() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) [this.canvas.width, this.canvas.height] = [wide, high];
    const context = this.canvas.getContext("2d"), cell = this.cell;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    context.imageSmoothingEnabled = false;
    const [left, top] = this.toScreen(0, 0);
    context.drawImage(this.picture, left, top, this.width * cell, this.height * cell);
    if (cell >= 8) this.drawGrid(context, box, cell);
    if (this.map.kind === "link" && cell >= 20) this.drawLinks(context, box, cell);
    if (this.showBorders) this.drawBorders(context);
    if (this.core >= 0) this.drawCore(context, cell);
  }

  visible(box) { // [first x, first y, end x, end y]
    const [x0, y0] = this.toMesh(0, 0).map(Math.floor), [x1, y1] = this.toMesh(box.width, box.height).map(Math.ceil);
    return [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1, this.width), Math.min(y1, this.height)];
  }

  drawGrid(context, box) {
    const [x0, y0, x1, y1] = this.visible(box);
    context.strokeStyle = style("--back");
    context.lineWidth = 1;
    context.beginPath();
    for (let x = x0; x <= x1; x++) { context.moveTo(...this.toScreen(x, y0)); context.lineTo(...this.toScreen(x, y1)); }
    for (let y = y0; y <= y1; y++) { context.moveTo(...this.toScreen(x0, y)); context.lineTo(...this.toScreen(x1, y)); }
    context.stroke();
  }

  drawLinks(context, box, cell) { // each of a router's four outgoing links as a strip along its side
    const loads = this.arrays[this.map.array], size = this.coreAt.length, strip = cell * 0.16;
    const [x0, y0, x1, y1] = this.visible(box);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const [left, top] = this.toScreen(x, y), at = y * this.width + x;
        const strips = [
          [left + cell - strip, top + strip, strip, cell - 2 * strip], [left, top + strip, strip, cell - 2 * strip],
          [left + strip, top + cell - strip, cell - 2 * strip, strip], [left + strip, top, cell - 2 * strip, strip]];
        context.fillStyle = style("--free");
        context.fillRect(left + 1, top + 1, cell - 1, cell - 1);
        strips.forEach((area, direction) => {
          const load = loads[direction * size + at];
          if (!load) return;
          context.fillStyle = css(heat(load / (this.map.max || 1)));
          context.fillRect(...area);
        });
      }
    }
  }

  drawBorders(context) {
    const [meshX, meshY, chipsX, chipsY] = this.report.mesh;
    context.strokeStyle = style("--border");
    context.lineWidth = 1.5;
    context.beginPath();
    for (let i = 0; i <= chipsX; i++) {
      context.moveTo(...this.toScreen(i * meshX, 0));
      context.lineTo(...this.toScreen(i * meshX, this.height));
    }
    for (let j = 0; j <= chipsY; j++) {
      context.moveTo(...this.toScreen(0, j * meshY));
      context.lineTo(...this.toScreen(this.width, j * meshY));
    }
    context.stroke();
  }

  drawCore(context, cell) {
    const { x, y } = this.arrays, middle = (i) => [x[i] + 0.5, y[i] + 0.5];
    if (this.showRoutes) {
      const { targets, sources } = neighbours(this.arrays, this.core);
      const route = (from, to) => { // x first, then y
        const [[x0, y0], [x1, y1]] = [middle(from), middle(to)];
        context.moveTo(...this.toScreen(x0, y0));
        context.lineTo(...this.toScreen(x1, y0));
        context.lineTo(...this.toScreen(x1, y1));
      };
      context.lineWidth = Math.min(Math.max(cell / 10, 1), 3);
      context.globalAlpha = 0.75;
      for (const [color, list, incoming] of [["--in", sources, true], ["--out", targets, false]]) {
        context.strokeStyle = context.fillStyle = style(color);
        context.beginPath();
        for (const [other] of list) incoming ? route(other, this.core) : route(this.core, other);
        const width = context.lineWidth;
        context.strokeStyle = style("--back"); // a rim, so that routes stand out on any colour
        context.lineWidth = width + 2;
        context.stroke();
        context.strokeStyle = style(color);
        context.lineWidth = width;
        context.stroke();
        for (const [other] of list) {
          const [left, top] = this.toScreen(...middle(other)), radius = Math.max(cell / 5, 2);
          context.beginPath();
          context.arc(left, top, radius, 0, 2 * Math.PI);
          context.fill();
        }
      }
      context.globalAlpha = 1;
    }
    const [left, top] = this.toScreen(x[this.core], y[this.core]);
    context.lineWidth = 3;
    context.strokeStyle = style("--back");
    context.strokeRect(left - 1, top - 1, cell + 2, cell + 2);
    context.lineWidth = 1.5;
    context.strokeStyle = style("--fore");
    context.strokeRect(left - 1, top - 1, cell + 2, cell + 2);
  }
}

// [[core, connections], ...] that a core sends to and receives from
function neighbours(arrays, core) {
  const slice = (start, other, count) => {
    const list = [];
    for (let i = arrays[start][core]; i < arrays[start][core + 1]; i++) list.push([arrays[other][i], arrays[count][i]]);
    return list;
  };
  return {
    targets: slice("out_start", "out_core", "out_count"),
    sources: slice("in_start", "in_core", "in_count"),
  };
}
