// The speed of the night, drawn by uPlot in the place of the server's drawing.
(() => {
  "use strict";

  const HEIGHT = 160, UNITS = ["B/s", "KB/s", "MB/s", "GB/s"];
  const box = document.querySelector("#plot"), readout = document.querySelector("#readout");
  const sentence = readout.textContent;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  let plot = null;

  function rate(value) {
    let power = 0;
    for (; value >= 999.95 && power < UNITS.length - 1; power++) value /= 1000;
    return `${power ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}`;
  }

  function options() {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: box.parentElement.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { y: false, drag: { x: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, 1.1 * high)] } },
      series: [{}, {
        stroke: colour("--accent"), fill: colour("--accent-wash"), width: 1.5, points: { show: false },
        paths: uPlot.paths.stepped({ align: 1 }),
      }],
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 72, values: (_, at) => at.map(clock) },
        { ...axis, size: 76, space: 36, values: (_, at) => at.map((value) => (value ? rate(value).replace(".0 ", " ") : "0")) },
      ],
      hooks: { setCursor: [(chart) => {
        const at = chart.cursor.idx;
        readout.textContent = at == null ? sentence : `${clock(chart.data[0][at])}: ${rate(chart.data[1][at])}`;
      }] },
    };
  }

  function draw() {
    const told = JSON.parse(document.querySelector("#speed").dataset.speed);
    plot?.destroy();
    plot = new uPlot(options(), [told.rates.map((_, n) => told.begin + n * told.step), told.rates], box);
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => plot.setSize({ width: box.parentElement.clientWidth, height: HEIGHT })).observe(box.parentElement);
})();
