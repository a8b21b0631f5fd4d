// Curves as the server sends them, piece by piece.

export const emptyTrack = () => ({ times: [], curves: new Map() });

const keyOf = (curve) => JSON.stringify([curve.scope, curve.name, curve.metric]);

// extend appends a piece to a track, or begins it anew if the piece says so.
export function extend(track, piece) {
  if (piece.reset) track = emptyTrack();
  const before = track.times.length;
  track.times.push(...piece.times);
  for (const { scope, name, metric, values } of piece.curves) {
    const key = keyOf({ scope, name, metric });
    if (!track.curves.has(key)) {
      track.curves.set(key, { scope, name, metric, values: new Array(before).fill(null) });
    }
    track.curves.get(key).values.push(...values);
  }
  for (const curve of track.curves.values()) {
    while (curve.values.length < track.times.length) curve.values.push(null);
  }
  return track;
}

// mostLines is how many lines one can tell apart in a chart.
export const mostLines = 6;

const sum = (values) => values.reduce((total, v) => total + (v ?? 0), 0);

// linesOf are the curves of a metric in a scope: of many, those with most in them.
export function linesOf(track, scope, metric) {
  const own = [...track.curves.values()].filter((c) => c.scope === scope && c.metric === metric);
  const chosen = new Set([...own].sort((a, b) => sum(b.values) - sum(a.values)).slice(0, mostLines));
  return { lines: own.filter((c) => chosen.has(c)), left: own.length - chosen.size };
}

export const latest = (values) => values.findLast((v) => v !== null) ?? null;
