// What is known about one core, and its crossbar.
function showCore(report, arrays, core, choose) {
  const title = byId("core-title"), facts = byId("core-facts");
  facts.replaceChildren();
  byId("targets").replaceChildren();
  byId("sources").replaceChildren();
  if (core < 0) {
    title.textContent = "No core";
    byId("crossbar-caption").textContent = "";
    byId("crossbar").getContext("2d").clearRect(0, 0, 256, 256);
    return;
  }
  const layer = report.layers[arrays.layer[core]];
  title.textContent = `Core ${core.toLocaleString("en")}`;
  const rows = [["place", `x ${arrays.x[core]}, y ${arrays.y[core]}`], ["layer", layer ? layer.name : "–"]];
  if (layer) for (const [name, value] of layer.notes) rows.push([name, value]);
  for (const map of report.maps) {
    if (map.kind === "value") rows.push([map.label.toLowerCase(), number(arrays[map.array][core])]);
  }
  rows.push(["output neurons", number(arrays.outputs[core])], ["input axons", number(arrays.inputs[core])]);
  for (const [name, value] of rows) facts.append(element("dt", name), element("dd", value));
  drawCrossbar(report, arrays, core);
  const { targets, sources } = neighbours(arrays, core);
  for (const [id, list] of [["targets", targets], ["sources", sources]]) {
    if (!list.length) byId(id).append(element("span", "no core", { class: "hint" }));
    for (const [other, count] of list) {
      const button = element("button", `${other} ×${count}`, { type: "button", "data-core": other });
      button.addEventListener("click", () => choose(other));
      byId(id).append(button);
    }
  }
}

function drawCrossbar(report, arrays, core) {
  const { axons, neurons, block, exact } = report.crossbar;
  const canvas = byId("crossbar"), wide = Math.ceil(neurons / block), high = Math.ceil(axons / block);
  [canvas.width, canvas.height] = [wide, high];
  const image = new ImageData(wide, high), back = rgb(style("--free")), index = arrays.crossbar_index[core];
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      let share;
      if (exact) {
        const stride = Math.ceil(neurons / 8), at = (index * axons + row) * stride + (column >> 3);
        share = (arrays.crossbars[at] >> (column & 7)) & 1;
      } else {
        const at = (index * high + row) * wide + column; // two values of 0..15 a byte, the low half first
        share = ((arrays.crossbars[at >> 1] >> (4 * (at & 1))) & 15) / 15;
      }
      const color = share ? heat(exact ? 0.75 : 0.15 + 0.85 * share) : back;
      image.data.set([color[0], color[1], color[2], 255], (row * wide + column) * 4);
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  byId("crossbar-caption").textContent = exact
    ? `Crossbar: ${axons} axons down, ${neurons} neurons across.`
    : `Crossbar: ${axons} axons down, ${neurons} neurons across; a dot is the share of ${block} × ${block} synapses.`;
}
