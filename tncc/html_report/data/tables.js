// Tables and the spike raster.
function fillTable(id, head, rows) {
  const table = byId(id);
  if (head) {
    const line = element("tr");
    for (const text of head) line.append(element("th", text, { scope: "col" }));
    table.append(line);
  }
  for (const row of rows) {
    const line = element("tr");
    for (const value of row) line.append(element("td", number(value)));
    table.append(line);
  }
}

function fillTables(report) {
  fillTable("layers", report.layer_table.head, report.layer_table.rows);
  fillTable("facts", null, report.facts);
  fillTable("cost", report.cost.head, report.cost.rows);
  for (const note of report.cost.notes) byId("cost-notes").append(element("li", note));
  if (report.passes.length) {
    byId("passes-section").hidden = false;
    fillTable("passes", ["pass", "seconds"], report.passes);
  }
}

// Neurons in order of their layer down, ticks across; a band a layer.
function drawRaster(report, arrays) {
  const raster = report.raster;
  if (!raster) return;
  byId("raster-section").hidden = false;
  byId("raster-caption").textContent = raster.caption;
  const canvas = byId("raster"), box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const left = 150, bottom = 24, wide = (box.width - left - 8) / raster.ticks, high = (box.height - bottom - 4) / raster.rows;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  raster.bands.forEach((band, i) => {
    context.fillStyle = style(i % 2 ? "--panel" : "--back");
    context.fillRect(left, 4 + band.start * high, raster.ticks * wide, (band.end - band.start) * high);
    context.fillStyle = style("--soft");
    const room = (band.end - band.start) * high;
    if (room >= 11) context.fillText(band.name.slice(0, 24), 6, 4 + (band.start + band.end) / 2 * high, left - 12);
  });
  const dot = Math.max(Math.min(high, 3), 1);
  for (let i = 0; i < arrays.raster_tick.length; i++) {
    const row = arrays.raster_row[i];
    context.globalAlpha = arrays.raster_frame[i] ? 1 : 0.18;
    context.fillStyle = report.layers[arrays.raster_layer[i]]?.color ?? style("--fore");
    context.fillRect(left + arrays.raster_tick[i] * wide + 1, 4 + row * high, Math.max(wide - 2, 1), dot);
  }
  context.globalAlpha = 1;
  context.fillStyle = style("--soft");
  const step = Math.max(Math.ceil(raster.ticks / 24), 1);
  for (let tick = 0; tick < raster.ticks; tick += step) {
    context.fillText(String(tick), left + (tick + 0.5) * wide - 4, box.height - bottom / 2);
  }
  context.fillText("tick", 6, box.height - bottom / 2);
}
