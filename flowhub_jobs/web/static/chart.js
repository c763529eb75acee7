// The speed of the night, drawn by uPlot in the place of the server's drawing.
(() => {
  "use strict";

  const HEIGHT = 160, UNITS = ["B/s", "KB/s", "MB/s", "GB/s"];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  let figure = null, box = null, readout = null, plot = null, drawn = "";

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
        readout.textContent = at == null ? figure.dataset.sentence : `${clock(chart.data[0][at])}: ${rate(chart.data[1][at])}`;
      }] },
    };
  }

  function points() {
    drawn = figure.dataset.speed;
    const told = JSON.parse(drawn);
    return [told.rates.map((_, n) => told.begin + n * told.step), told.rates];
  }

  function draw() {
    if (!figure) return;
    plot?.destroy();
    plot = new uPlot(options(), points(), box);
  }

  const width = new ResizeObserver(() => plot.setSize({ width: figure.clientWidth, height: HEIGHT }));

  function follow() { // the page was refreshed: other figures, or the first of the night
    const found = document.querySelector("#speed");
    if (!found) return;
    if (found !== figure) {
      [figure, box, readout] = [found, found.querySelector("#plot"), found.querySelector("#readout")];
      draw();
      width.disconnect();
      width.observe(figure);
    } else if (drawn !== figure.dataset.speed) {
      plot.setData(points());
    }
    if (plot.cursor.idx == null) readout.textContent = figure.dataset.sentence;
  }

  follow();
  document.addEventListener("refreshed", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
