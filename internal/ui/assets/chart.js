// A chart: lines over time, drawn as SVG; a slider for keys and screen readers; a table.

import { h, s } from './dom.js';
import { binaryPower, clock, moment } from './format.js';
import { latest } from './track.js';

const margin = { left: 58, right: 10, top: 8, bottom: 20 };
const height = 150;
const tableRows = 20;

// cursors are where readers have put the sliders of charts, as a time in milliseconds.
const cursors = new Map();

// ticksFor are round numbers from 0 to above a maximum.
function ticksFor(max, metric) {
  const top = Math.max(max, metric.least ?? 1);
  const unit = metric.binary ? 1024 ** binaryPower(top) : 1;
  const rough = top / unit / 3;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * magnitude).find((n) => n >= rough) * unit;
  const ticks = [];
  for (let at = 0; ticks.length === 0 || ticks.at(-1) < top; at += step) ticks.push(at);
  return ticks;
}

// path is a line with gaps where values are missing.
function path(times, values, x, y) {
  let d = '';
  let open = false;
  let alone = true;
  values.forEach((v, i) => {
    if (v === null) {
      if (open && alone) d += 'h0.01';
      open = false;
      return;
    }
    d += `${open ? 'L' : 'M'}${x(times[i]).toFixed(1)} ${y(v).toFixed(1)}`;
    alone = !open;
    open = true;
  });
  return open && alone ? `${d}h0.01` : d;
}

function area(times, values, x, y) {
  const from = values.findIndex((v) => v !== null);
  const to = values.findLastIndex((v) => v !== null);
  if (from < 0 || from === to) return '';
  const points = [];
  for (let i = from; i <= to; i++) points.push(`${x(times[i]).toFixed(1)} ${y(values[i] ?? 0).toFixed(1)}`);
  return `M${x(times[from]).toFixed(1)} ${y(0)}L${points.join('L')}L${x(times[to]).toFixed(1)} ${y(0)}Z`;
}

function drawing({ times, lines, metric, width, cursor }) {
  const max = Math.max(0, ...lines.flatMap((l) => l.values.filter((v) => v !== null)));
  const ticks = ticksFor(max, metric);
  const [begin, end] = [times[0], Math.max(times.at(-1), times[0] + 10_000)];
  const x = (t) => margin.left + ((t - begin) / (end - begin)) * (width - margin.left - margin.right);
  const y = (v) => height - margin.bottom - (v / ticks.at(-1)) * (height - margin.top - margin.bottom);
  const grid = ticks.map((v) => [
    s('line', { class: v === 0 ? 'axis' : 'grid', x1: margin.left, x2: width - margin.right, y1: y(v), y2: y(v) }),
    s('text', { class: 'tick', x: margin.left - 8, y: y(v) + 4, 'text-anchor': 'end' }, metric.write(v)),
  ]);
  const at = [begin, (begin + end) / 2, end];
  const hours = at.map((t, i) => s('text', { class: 'tick', x: x(t), y: height - 4, 'text-anchor': ['start', 'middle', 'end'][i] }, clock(t)));
  const single = lines.length === 1;
  return s('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true', focusable: 'false' },
    grid, hours,
    single && s('path', { class: 'area', d: area(times, lines[0].values, x, y) }),
    lines.map((l, i) => s('path', { class: `line line-${l.color ?? i}`, d: path(times, l.values, x, y) })),
    cursor !== null && s('line', { class: 'cursor', x1: x(times[cursor]), x2: x(times[cursor]), y1: margin.top, y2: height - margin.bottom }));
}

// swatch is a short line in the color of one.
const swatch = (color) => s('svg', { class: 'swatch', viewBox: '0 0 14 6', 'aria-hidden': 'true' }, s('path', { class: `line line-${color}`, d: 'M0 3H14' }));

const written = (metric, v) => (v === null || v === undefined ? '-' : metric.write(v));

function table({ id, times, lines, metric, title }) {
  const step = Math.max(1, Math.ceil(times.length / tableRows));
  const rows = [];
  for (let i = times.length - 1; i >= 0; i -= step) rows.push(i);
  return h('details', { class: 'numbers', 'data-key': `${id} numbers` },
    h('summary', null, 'Figures', h('span', { class: 'heard' }, ` of ${title}`)),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Figures of ${title}` },
      h('table', null,
        h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Time'), lines.map((l) => h('th', { scope: 'col' }, l.name)))),
        h('tbody', null, rows.map((i) => h('tr', null, h('th', { scope: 'row' }, moment(times[i])), lines.map((l) => h('td', null, written(metric, l.values[i])))))))));
}

// nearest is the index of the time that is next to one.
function nearest(times, at) {
  let best = 0;
  times.forEach((t, i) => { if (Math.abs(t - at) < Math.abs(times[best] - at)) best = i; });
  return best;
}

// chart draws lines ({name, values}) over times. The id tells it from others.
export function chart({ id, times, lines, left, metric, width, empty, now }) {
  const title = metric.title;
  if (times.length === 0 || lines.every((l) => latest(l.values) === null)) {
    return h('figure', { class: 'chart', 'data-key': id },
      h('figcaption', null, h('h3', null, title), h('span', { class: 'unit' }, metric.unit)), h('p', { class: 'nothing' }, empty));
  }
  const put = cursors.get(id);
  const cursor = put === undefined ? null : nearest(times, put);
  const shown = cursor ?? times.length - 1;
  const say = (l) => (cursor === null && l.now !== undefined ? l.now : written(metric, l.values[shown]));
  const text = lines.map((l) => (lines.length > 1 ? `${l.name} ` : '') + say(l)).join(', ');
  return h('figure', { class: 'chart', 'data-key': id },
    h('figcaption', null, h('h3', null, title), h('span', { class: 'unit' }, metric.unit),
      h('span', { class: 'now', 'data-metric': id }, lines.length === 1 ? say(lines[0]) : ''),
      h('span', { class: 'when' }, cursor === null ? '' : clock(times[cursor]))),
    h('div', { class: 'plot', tabindex: 0, role: 'slider', 'data-chart': id, 'aria-label': `${title} over time`, 'aria-valuemin': 0,
      'aria-valuemax': times.length - 1, 'aria-valuenow': shown, 'aria-valuetext': `${moment(times[shown])}: ${text}`,
      'data-begin': times[0], 'data-end': Math.max(times.at(-1), times[0] + 10_000) },
    drawing({ times, lines, metric, width, cursor })),
    lines.length > 1 && h('ul', { class: 'legend' },
      lines.map((l, i) => h('li', { 'data-key': l.name }, swatch(l.color ?? i), h('span', { class: 'name' }, l.name), h('span', { class: 'value' }, say(l)))),
      left > 0 && h('li', null, `and ${left} more in the table below`)),
    table({ id, times, lines, metric, title }));
}

// moveCursors lets keys and pointers move the cursors of charts within a root; redraw is
// called after each move. timesOf are the times that are shown.
export function moveCursors(root, timesOf, redraw) {
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };
  root.addEventListener('keydown', (event) => {
    const plot = event.target.closest('.plot');
    const times = timesOf();
    if (!plot || times.length === 0) return;
    const id = plot.dataset.chart;
    if (event.key === 'Escape') {
      cursors.delete(id);
    } else if (event.key in steps) {
      const from = cursors.has(id) ? nearest(times, cursors.get(id)) : times.length - 1;
      cursors.set(id, times[Math.min(Math.max(from + steps[event.key], 0), times.length - 1)]);
      event.preventDefault();
    } else {
      return;
    }
    redraw();
  });
  root.addEventListener('pointermove', (event) => {
    const plot = event.target.closest('.plot');
    if (!plot) return;
    const box = plot.getBoundingClientRect();
    const scale = box.width / plot.firstElementChild.viewBox.baseVal.width;
    const part = (event.clientX - box.left - margin.left * scale) / (box.width - (margin.left + margin.right) * scale);
    const [begin, end] = [Number(plot.dataset.begin), Number(plot.dataset.end)];
    cursors.clear();
    cursors.set(plot.dataset.chart, begin + Math.min(Math.max(part, 0), 1) * (end - begin));
    redraw();
  });
  root.addEventListener('pointerout', (event) => {
    const plot = event.target.closest('.plot');
    if (plot && !plot.contains(event.relatedTarget) && cursors.delete(plot.dataset.chart)) redraw();
  });
}
