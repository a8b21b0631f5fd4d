// The screen of one transfer or restore.

import { chart } from './chart.js';
import { h } from './dom.js';
import { clock, metrics, moment } from './format.js';
import { bar, grid, pill, problems } from './list.js';
import { linesOf } from './track.js';

// scopes are what curves can be split by.
export const scopes = [
  { scope: 'whole', title: 'All together' },
  { scope: 'prefix', title: 'By prefix' },
  { scope: 'worker', title: 'By worker' },
];

function head(r) {
  const f = r.figures;
  const facts = [
    ['Throughput', f.throughput, 'throughput'], ['Window', f.window, 'window'], ['Rate', f.rate, 'rate'], ['Throttled', f.throttled, 'throttled'],
    ['Workers', f.workers, 'workers'], ['ETA', f.eta, 'eta'], ['Files done', f.done, 'done'], ['Failed', f.failed, 'failed'], ['Skipped', f.skipped, 'skipped'],
  ];
  return h('section', { class: 'head', 'data-key': 'head' },
    h('nav', { 'aria-label': 'Breadcrumb' }, h('a', { href: '#/' }, 'All runs')),
    h('div', { class: 'title' }, h('h1', { tabindex: -1 }, f.name), pill(r),
      r.gone && h('span', { class: 'minor' }, `no longer in the cluster since ${clock(Date.parse(r.gone))}; this is what was seen last`)),
    h('p', { class: 'route' }, h('span', null, f.source || 'the source'), h('span', { 'aria-hidden': 'true' }, ' → '), h('span', { class: 'heard' }, ' to '), h('span', null, f.destination)),
    h('p', { class: 'progress' }, bar(r), h('strong', null, f.percent === '-' ? '' : `${f.percent}%`), h('span', null, f.progress === '-' ? '' : f.progress)),
    h('dl', { class: 'facts' }, facts.map(([name, value, id]) => h('div', { class: id === 'failed' && value > 0 ? 'bad' : null },
      h('dt', null, name), h('dd', { 'data-figure': id }, value)))));
}

function answer({ answer: a }) {
  return h('section', { class: 'answer', 'data-key': 'answer', 'aria-label': 'What limits it' },
    h('p', null, h('strong', { 'data-figure': 'limitedBy' }, a.limitedBy), ' ', a.sentence, a.advice && [' ', h('span', { class: 'minor' }, a.advice)]),
    a.evidence.length > 0 && h('details', { 'data-key': 'evidence' }, h('summary', null, 'Evidence'),
      h('dl', { class: 'evidence' }, a.evidence.map((fact) => h('div', null, h('dt', null, fact.name), h('dd', null, fact.value))))));
}

// chartWidth is that of one chart where as many are side by side as page.css puts there.
function chartWidth(width) {
  const columns = width >= 1080 ? 3 : width >= 700 ? 2 : 1;
  return Math.max(240, Math.floor((width - (columns - 1) * 20) / columns) - 34);
}

function charts(r, { track, scope, width, empty = r.ended ? 'It had ended before this page was opened.' : 'No figures yet.' }) {
  const f = r.figures;
  const one = (id, metric, lines, left) => chart({ id, times: track.times, lines, left, metric, width: chartWidth(width), empty });
  const simple = ['throughput', 'window', 'rate', 'throttled'].map((id) => {
    const { lines, left } = linesOf(track, scope, id);
    const named = lines.map((l) => ({ name: l.name || metrics[id].title, values: l.values, now: scope === 'whole' && !r.ended ? f[id] : undefined }));
    const none = id === 'rate' && !r.ended && track.times.length > 0 ? 'Not paced: only the window limits.' : empty;
    return chart({ id, times: track.times, lines: named, left, metric: metrics[id], width: chartWidth(width), empty: none });
  });
  const { lines, left } = linesOf(track, scope, 'done');
  const done = { ...metrics.done, ...(scope === 'worker' && { title: 'Sent', unit: 'bytes so far by the worker' }) };
  simple.push(one('done', done, lines.map((l) => ({ name: l.name || done.title, values: l.values })), left));
  const p50 = linesOf(track, scope, 'p50');
  if (scope !== 'whole') return [...simple, one('latency', { ...metrics.latency, unit: 'median service time of a request' }, p50.lines, p50.left)];
  const p99 = linesOf(track, scope, 'p99');
  return [...simple, one('latency', metrics.latency, [
    ...p50.lines.map((l) => ({ name: 'median', values: l.values, color: 0 })),
    ...p99.lines.map((l) => ({ name: '99th percentile', values: l.values, color: 1 })),
  ], 0)];
}

function curves(r, how, choices = scopes) {
  return h('section', { class: 'curves', 'data-key': 'curves', 'aria-labelledby': 'curves' },
    h('div', { class: 'bar-of-choices' }, h('h2', { id: 'curves' }, 'Over time'),
      h('fieldset', null, h('legend', { class: 'heard' }, 'Split the curves'),
        choices.map(({ scope, title }) => h('label', null, h('input', { type: 'radio', name: 'scope', value: scope, checked: how.scope === scope }), h('span', null, title))))),
    h('div', { class: 'charts' }, charts(r, how)));
}

const prefixColumns = [
  { title: 'Prefix', cell: (p) => p.name, row: true }, { title: 'Done', cell: (p) => p.done, number: true }, { title: 'Planned', cell: (p) => p.planned, number: true, rank: 'medium' },
  { title: 'Throughput', cell: (p) => p.throughput, number: true }, { title: 'Window', cell: (p) => p.window, number: true, name: 'window' }, { title: 'Rate', cell: (p) => p.rate, number: true, rank: 'medium' },
  { title: 'Throttled', cell: (p) => p.throttled, number: true }, { title: 'p50', cell: (p) => p.p50, number: true, rank: 'medium' }, { title: 'p99', cell: (p) => p.p99, number: true, rank: 'medium' },
];
const workerColumns = [
  { title: 'Worker', cell: (w) => w.name, row: true }, { title: 'Window', cell: (w) => w.window, number: true, name: 'window' }, { title: 'In flight', cell: (w) => w.inFlight, number: true },
  { title: 'Limited by', cell: (w) => w.limitedBy }, { title: 'Accepted', cell: (w) => w.accepted, number: true, rank: 'medium' }, { title: 'Throttled', cell: (w) => w.throttled, number: true, rank: 'medium' },
  { title: 'State', cell: (w) => w.state, rank: 'medium' },
];

function tables(r) {
  return h('div', { class: 'halves', 'data-key': 'tables' },
    r.prefixes.length > 0 && h('section', { 'data-key': 'prefixes' }, h('h2', null, 'Prefixes'), grid('Prefixes', prefixColumns, r.prefixes, (p) => p.name)),
    r.workers.length > 0 && h('section', { 'data-key': 'workers' }, h('h2', null, 'Workers'), grid('Workers', workerColumns, r.workers, (w) => w.name)));
}

function course(r) {
  return h('section', { 'data-key': 'course' }, h('h2', null, 'What happened'),
    r.failures.length > 0 && h('ul', { class: 'failures' }, r.failures.map((text) => h('li', { class: 'bad' }, text))),
    h('ol', { class: 'course', reversed: true }, r.course.map((e) => h('li', { class: e.tone || null },
      h('time', { datetime: e.at }, moment(Date.parse(e.at))), h('span', { class: 'kind' }, e.kind), h('span', { class: 'what' }, h('strong', null, e.title), ' ', e.text)))));
}

// run is the screen of the run of a picture.
export function run(picture, how) {
  const r = picture.run;
  if (!r) {
    return [h('h1', { tabindex: -1, 'data-key': 'none' }, 'There is no such run'),
      h('p', null, 'It may have been deleted before this page was opened. ', h('a', { href: '#/' }, 'All runs'))];
  }
  return [head(r), answer(r), curves(r, how), tables(r), course(r), problems(picture.problems)].filter(Boolean);
}

// pastRun is the screen of a run that Prometheus knows of.
export function pastRun({ runs: [r], error }, how) {
  if (!r) return [h('h1', { tabindex: -1, 'data-key': 'none' }, 'This past run cannot be shown'), h('p', null, error, ' ', h('a', { href: '#/' }, 'All runs'))];
  const title = h('section', { class: 'head', 'data-key': 'head' },
    h('nav', { 'aria-label': 'Breadcrumb' }, h('a', { href: '#/' }, 'All runs')),
    h('div', { class: 'title' }, h('h1', { tabindex: -1 }, r.name), h('span', { class: 'pill' }, 'past')),
    h('p', { class: 'route' }, `${r.sent} sent from ${moment(Date.parse(r.begin))} to ${moment(Date.parse(r.end))}, as Prometheus has it`));
  return [title, curves({ ended: true, figures: {} }, { ...how, empty: 'Prometheus has no figures of it.' }, scopes.filter((s) => s.scope !== 'worker'))];
}
