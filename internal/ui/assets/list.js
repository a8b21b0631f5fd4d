// The first screen: all transfers and restores, and the destinations that they share.

import { h, s } from './dom.js';
import { moment } from './format.js';

export const tone = (r) => (r.gone ? 'warn' : r.tone);

// pill is the phase of a run.
export function pill(r) {
  return h('span', { class: `pill ${tone(r)}` }, r.gone ? 'gone' : r.figures.status);
}

// bar is the progress of a run, where that is known.
export function bar(r) {
  if (r.figures.percent === '-') return h('span', { class: 'bar unknown' });
  return h('progress', { class: 'bar', max: 100, value: r.figures.percent, 'aria-label': `progress of ${r.figures.name}` }, `${r.figures.percent}%`);
}

// spark is a thumbnail of a curve.
function spark(values) {
  const known = values.filter((v) => v !== null);
  if (known.length < 2) return h('span', { class: 'spark' });
  const max = Math.max(...known, 1);
  let d = '';
  let open = false;
  values.forEach((v, i) => {
    if (v !== null) d += `${open ? 'L' : 'M'}${((i / (values.length - 1)) * 100).toFixed(1)} ${(23 - (v / max) * 21).toFixed(1)}`;
    open = v !== null;
  });
  return s('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, s('path', { class: 'line line-0', d }));
}

const columns = [
  { title: 'Name', cell: (r) => h('a', { href: `#/run/${encodeURIComponent(r.uid)}` }, r.figures.name), row: true },
  { title: 'Namespace', cell: (r) => r.figures.namespace, all: true },
  { title: 'Status', cell: pill },
  { title: 'Progress', cell: (r) => h('span', { class: 'progress' }, bar(r), h('span', { class: 'number' }, r.figures.percent === '-' ? '-' : `${r.figures.percent}%`)) },
  { title: 'Done', cell: (r) => r.figures.progress, rank: 'wide' },
  { title: 'Throughput', cell: (r) => r.figures.throughput, number: true, name: 'throughput' },
  { title: 'Over time', cell: (r) => spark(r.throughput), rank: 'medium' },
  { title: 'Limited by', cell: (r) => r.figures.limitedBy, rank: 'medium' },
  { title: 'Window', cell: (r) => r.figures.window, number: true, rank: 'wide', name: 'window' },
  { title: 'Throttled', cell: (r) => r.figures.throttled, number: true, rank: 'wide' },
  { title: 'Workers', cell: (r) => r.figures.workers, number: true, rank: 'wide' },
  { title: 'ETA', cell: (r) => r.figures.eta, number: true, rank: 'medium' },
  { title: 'Age', cell: (r) => r.figures.age, number: true, rank: 'wide' },
];

// grid is a table of rows by columns.
export function grid(name, columns, rows, keyOf) {
  const style = (c) => [c.number && 'number', c.rank].filter(Boolean).join(' ') || null;
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': name },
    h('table', null,
      h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col', class: style(c) }, c.title)))),
      h('tbody', null, rows.map((r) => h('tr', { 'data-key': keyOf(r), class: r.gone ? 'gone' : null },
        columns.map((c) => h(c.row ? 'th' : 'td', { scope: c.row && 'row', class: style(c), 'data-figure': c.name }, c.cell(r))))))));
}

const destinationColumns = [
  { title: 'Destination', cell: (d) => d.domain, row: true },
  { title: 'State', cell: (d) => d.state },
  { title: 'Window', cell: (d) => d.window, number: true },
  { title: 'Rate', cell: (d) => d.rate, number: true },
  { title: 'Throughput', cell: (d) => d.throughput, number: true },
  { title: 'Shared by', cell: (d) => (d.runs.length === 0 ? 'nothing now' : d.runs.join(', ')), rank: 'medium' },
  { title: 'Learned window', cell: (d) => (d.updated ? `${d.learned}, ${moment(Date.parse(d.updated))}` : d.learned), number: true, rank: 'medium' },
];

// problems say what is not shown, and why.
export function problems(list) {
  if (list.length === 0) return null;
  return h('section', { class: 'problems', 'data-key': 'problems', 'aria-label': 'What could not be read' },
    h('h2', null, 'Not shown'), h('ul', null, list.map((text) => h('li', null, text))));
}

const runs = (picture, about, kind, title, none) => {
  const own = picture.runs.filter((r) => r.kind === kind);
  return h('section', { 'data-key': kind }, h('h2', null, title),
    own.length === 0 ? h('p', { class: 'nothing' }, none) : grid(title, columns.filter((c) => !c.all || about.namespace === ''), own, (r) => r.uid));
};

const pastColumns = [
  { title: 'Name', cell: (r) => h('a', { href: `#/past/${encodeURIComponent(r.uid)}` }, r.name), row: true },
  { title: 'Namespace', cell: (r) => r.namespace, all: true },
  { title: 'Began', cell: (r) => moment(Date.parse(r.begin)) },
  { title: 'Took about', cell: (r) => r.duration, number: true },
  { title: 'Sent', cell: (r) => r.sent, number: true },
];

// pastRuns are those that Prometheus knows of, if it is asked.
function pastRuns(past, about) {
  if (!about.past) return null;
  const title = 'Past runs, from Prometheus';
  const columns = pastColumns.filter((c) => !c.all || about.namespace === '');
  return h('section', { 'data-key': 'past' }, h('h2', null, title),
    past === null ? h('p', { class: 'nothing' }, 'Asking Prometheus …')
      : past.error ? h('p', { class: 'nothing bad' }, past.error)
        : past.runs.length === 0 ? h('p', { class: 'nothing' }, 'Prometheus knows of none in the last seven days.')
          : grid(title, columns, past.runs, (r) => r.uid));
}

// list is the first screen.
export function list(picture, about, past) {
  const active = picture.runs.filter((r) => !r.ended && !r.gone).length;
  return [
    h('h1', { tabindex: -1, 'data-key': 'list' }, active === 1 ? '1 run in progress' : `${active} runs in progress`),
    runs(picture, about, 'ArchiveTransfer', 'Transfers', 'There are no transfers here. kubectl apply one, and it appears.'),
    runs(picture, about, 'ArchiveRestore', 'Restores', 'There are no restores here.'),
    h('section', { 'data-key': 'destinations' }, h('h2', null, 'Destinations'),
      picture.destinations.length === 0 ? h('p', { class: 'nothing' }, 'No destination is in use.')
        : grid('Destinations', destinationColumns, picture.destinations, (d) => d.domain)),
    pastRuns(past, about),
    problems(picture.problems),
  ].filter(Boolean);
}
