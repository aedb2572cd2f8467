// Puts the page together; decoding the arrays is the only thing that waits.
async function start() {
  const began = performance.now();
  const report = JSON.parse(byId("data").textContent);
  const arrays = await decodeAll(report.arrays);
  const canvas = byId("mesh"), mesh = new Mesh(canvas, report, arrays), select = byId("map");
  let pinned = -1, frame = 0;

  byId("title").textContent = report.title;
  byId("subtitle").textContent = report.subtitle;
  report.maps.forEach((map, i) => select.append(element("option", map.label, { value: i })));
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  fillTables(report);

  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  }

  function redraw() { // at most once a screen refresh
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; mesh.draw(); });
  }

  function choose(core) {
    if (core === mesh.core) return;
    mesh.core = core;
    if (core >= 0) mesh.follow(core);
    showCore(report, arrays, core, (other) => { pinned = other; choose(other); });
    redraw();
  }

  function pin(core) {
    pinned = core;
    if (core >= 0) choose(core);
    document.documentElement.dataset.pinned = String(pinned);
  }

  function showMap(index) {
    select.value = String(index);
    mesh.paint(report.maps[index]);
    drawLegend(report, report.maps[index]);
    document.documentElement.dataset.map = report.maps[index].id;
  }

  function repaint() {
    showMap(Number(select.value));
    drawRaster(report, arrays);
    if (mesh.core >= 0) drawCrossbar(report, arrays, mesh.core);
  }

  function switchTheme() {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    repaint();
  }

  function step(dx, dy) { // to the next core in that direction, past free places
    if (!report.cores) return;
    if (mesh.core < 0) return pin(nearest(mesh.center));
    let [x, y] = [arrays.x[mesh.core] + dx, arrays.y[mesh.core] + dy];
    while (x >= 0 && y >= 0 && x < mesh.width && y < mesh.height) {
      const core = mesh.coreAt[y * mesh.width + x];
      if (core >= 0) return pin(core);
      [x, y] = [x + dx, y + dy];
    }
  }

  function nearest([x, y]) {
    let best = 0, least = Infinity;
    for (let i = 0; i < report.cores; i++) {
      const distance = (arrays.x[i] - x) ** 2 + (arrays.y[i] - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  select.addEventListener("change", () => showMap(Number(select.value)));
  byId("theme").addEventListener("click", switchTheme);
  byId("zoom-in").addEventListener("click", () => mesh.setZoom(mesh.zoom * 1.5));
  byId("zoom-out").addEventListener("click", () => mesh.setZoom(mesh.zoom / 1.5));
  byId("zoom-fit").addEventListener("click", () => mesh.setZoom(1));
  byId("routes").addEventListener("change", (event) => { mesh.showRoutes = event.target.checked; redraw(); });
  byId("borders").addEventListener("change", (event) => { mesh.showBorders = event.target.checked; redraw(); });
  window.addEventListener("resize", () => { redraw(); drawRaster(report, arrays); });

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, y: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) {
      if (pinned < 0) choose(mesh.coreUnder(event.offsetX, event.offsetY));
      return;
    }
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag = { x: event.offsetX, y: event.offsetY, moved: true };
    mesh.moveBy(-dx / mesh.cell, -dy / mesh.cell);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) pin(mesh.coreUnder(event.offsetX, event.offsetY));
    drag = null;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    mesh.setZoom(mesh.zoom * Math.exp(-event.deltaY * 0.002), event.offsetX, event.offsetY);
  }, { passive: false });

  const keys = {
    "+": () => mesh.setZoom(mesh.zoom * 1.5), "=": () => mesh.setZoom(mesh.zoom * 1.5),
    "-": () => mesh.setZoom(mesh.zoom / 1.5), 0: () => mesh.setZoom(1),
    m: () => showMap((Number(select.value) + 1) % report.maps.length), t: switchTheme,
    Escape: () => { pin(-1); choose(-1); },
  };
  const meshKeys = {
    ArrowLeft: () => step(-1, 0), ArrowRight: () => step(1, 0), ArrowUp: () => step(0, -1), ArrowDown: () => step(0, 1),
    Enter: () => pin(mesh.core),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === select) return;
    const act = (event.target === canvas && meshKeys[event.key]) || keys[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  });

  window.tnccReport = { mesh, report, arrays };
  repaint();
  requestAnimationFrame(() => setTimeout(() => {
    document.documentElement.dataset.scriptMs = String(Math.round(performance.now() - began));
    document.documentElement.dataset.readyMs = String(Math.round(performance.now())); // since the page was asked for
  }));
}

function drawLegend(report, map) {
  const legend = byId("legend");
  legend.replaceChildren();
  if (map.kind === "layer") {
    for (const layer of report.layers) {
      const entry = element("span", `${layer.name} (${number(layer.cores)})`), swatch = element("span", "", { class: "swatch" });
      swatch.style.background = layer.color;
      entry.prepend(swatch);
      legend.append(entry);
    }
    return;
  }
  const strip = element("canvas");
  [strip.width, strip.height] = [160, 12];
  const context = strip.getContext("2d");
  for (let i = 0; i < 160; i++) { context.fillStyle = css(heat(i / 159)); context.fillRect(i, 0, 1, 12); }
  legend.append(element("span", "0"), strip, element("span", `${number(map.max)} ${map.unit}`));
}

start();
