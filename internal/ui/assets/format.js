// Figures on axes and in tables, with the units that `kubectl cargoship status` prints.

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

// digits writes three significant digits, or the whole number if it has more.
function digits(x) {
  if (x === 0 || x >= 100) return String(Math.round(x));
  return String(Number(x.toPrecision(3)));
}

export function binaryPower(bytes) {
  return bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), binary.length - 1);
}

export function bytes(n) {
  const power = binaryPower(n);
  return `${digits(n / 1024 ** power)} ${binary[power]}`;
}

// The metrics of a track: how they are called, and how a value of one is written.
export const metrics = {
  throughput: { title: 'Throughput', unit: 'bytes per second', write: (v) => `${bytes(v)}/s`, binary: true },
  window: { title: 'Window', unit: 'requests in flight', write: digits, least: 4 },
  rate: { title: 'Rate', unit: 'requests per second, as paced', write: (v) => `${digits(v)}/s`, least: 1 },
  throttled: { title: 'Throttled', unit: 'share of recent requests', write: (v) => `${digits(v)}%`, least: 1 },
  done: { title: 'Done', unit: 'bytes so far', write: bytes, binary: true },
  latency: { title: 'Latency', unit: 'service time of a request', write: (v) => `${digits(v)} ms`, least: 1 },
};

export function clock(ms) {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
}

export function day(ms) {
  const at = new Date(ms);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, '0')).join('-');
}

// moment is a time of day, with the day if that is another.
export function moment(ms, now = Date.now()) {
  return day(ms) === day(now) ? clock(ms) : `${day(ms)} ${clock(ms)}`;
}
