// The page: what the server sends, turned into what is shown.

import { moveCursors } from './chart.js';
import { h, morph } from './dom.js';
import { clock } from './format.js';
import { list } from './list.js';
import { pastRun, run, scopes } from './run.js';
import { emptyTrack, extend } from './track.js';

const content = document.getElementById('content');
const state = { about: null, picture: null, past: null, one: null, track: emptyTrack(), scope: scopes[0].scope, uid: '', pastUID: '', width: 0, phases: new Map() };
let feed = null;

// pastInterval is how often Prometheus is asked for past runs, in milliseconds.
const pastInterval = 60_000;

// after is the rest of an address that begins so: the run that it is about, '' for none.
const after = (begin) => (location.hash.startsWith(begin) ? decodeURIComponent(location.hash.slice(begin.length)) : '');

// width is that of the content, in pixels, which charts are drawn for.
const width = () => content.clientWidth;

// screen is what is to be seen.
function screen() {
  const how = { track: state.track, scope: state.scope, width: width() };
  if (state.pastUID !== '') return state.one ? pastRun(state.one, how) : [h('p', null, 'Asking Prometheus …')];
  return state.uid === '' ? list(state.picture, state.about, state.past) : run(state.picture, how);
}

function show() {
  const { picture, about } = state;
  if (!picture || !about) return;
  state.width = width();
  morph(content, screen());
  const found = state.uid !== '' && picture.run;
  document.title = found ? `${found.figures.name} ${found.figures.status} - CargoShip` : 'CargoShip';
  morph(document.getElementById('clock'), [h('span', null, 'as of '), h('time', { datetime: picture.at }, clock(Date.parse(picture.at)))]);
}

// announce tells screen readers what has changed its phase, and nothing else.
function announce(picture) {
  const news = [];
  for (const r of picture.runs) {
    const phase = r.gone ? 'gone' : r.figures.status;
    const before = state.phases.get(r.uid);
    if (before !== undefined && before !== phase) news.push(`${r.figures.name}: ${phase}`);
    state.phases.set(r.uid, phase);
  }
  if (news.length > 0) document.getElementById('said').textContent = news.join(', ');
}

function lost(is) {
  const line = document.getElementById('lost');
  if (line.hidden === !is) return;
  line.hidden = !is;
  line.textContent = is ? 'The command that serves this page does not answer: figures are out of date. Start kubectl cargoship ui again and open the address that it prints.' : '';
}

// follow asks for the pictures of a run, or of all.
function follow(uid) {
  feed?.close();
  state.uid = uid;
  state.track = emptyTrack();
  state.picture = null;
  feed = new EventSource(uid === '' ? 'feed' : `feed?run=${encodeURIComponent(uid)}`);
  feed.onmessage = (event) => {
    const first = state.picture === null;
    state.picture = JSON.parse(event.data);
    if (state.picture.run) state.track = extend(state.track, state.picture.run.track);
    lost(false);
    announce(state.picture);
    show();
    if (first && state.navigated && state.pastUID === '') content.querySelector('h1')?.focus();
  };
  feed.onerror = () => lost(true);
}

// askPast asks for past runs, or one of them.
async function askPast(uid) {
  try {
    return await (await fetch(uid === '' ? 'past' : `past?uid=${encodeURIComponent(uid)}`)).json();
  } catch {
    return { runs: [], error: 'The command that serves this page does not answer.' };
  }
}

async function listPast() {
  state.past = await askPast('');
  show();
}

async function openPast(uid) {
  state.one = null;
  const one = await askPast(uid);
  if (state.pastUID !== uid) return;
  state.one = one;
  if (one.runs.length > 0) state.track = extend(emptyTrack(), one.runs[0].track);
  show();
  content.querySelector('h1')?.focus();
}

function begin() {
  state.pastUID = state.about.past ? after('#/past/') : '';
  follow(after('#/run/'));
  if (state.pastUID !== '') openPast(state.pastUID);
}

function navigate() {
  state.navigated = true;
  begin();
}

async function start() {
  state.about = await (await fetch('about')).json();
  const { namespace, cluster } = state.about;
  morph(document.getElementById('about'), [h('span', null, namespace === '' ? 'all namespaces' : `namespace ${namespace}`, h('span', { class: 'minor' }, ` at ${cluster}`))]);
  addEventListener('hashchange', navigate);
  content.addEventListener('change', (event) => {
    if (event.target.name !== 'scope') return;
    state.scope = event.target.value;
    show();
  });
  moveCursors(content, () => state.track.times, show);
  new ResizeObserver(() => {
    if (width() !== state.width) show();
  }).observe(content);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    content.focus();
  });
  begin();
  if (!state.about.past) return;
  listPast();
  setInterval(listPast, pastInterval);
}

start();
