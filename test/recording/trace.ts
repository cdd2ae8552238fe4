import assert from 'node:assert/strict';

export interface TraceEvent {
  readonly name?: string;
  readonly cat?: string;
  readonly ph: string;
  readonly ts?: number;
  readonly pid: number;
  readonly tid: number;
  readonly s?: string;
  readonly args?: Record<string, unknown>;
}

/** A slice as a viewer makes it of a pair */
export interface Slice {
  readonly name: string;
  readonly category: string;
  readonly track: string;
  readonly begin: number;
  readonly end: number;
  readonly depth: number;
  readonly args: Record<string, unknown>;
}

/**
 * Reads a trace by the rules of the Trace Event Format: an object with "traceEvents", phases B and E in pairs on each
 * thread with the last begun ended first, timestamps that do not go back on a thread, instants with a scope, names of
 * processes and threads as metadata. @throws AssertionError
 */
export function readTrace(text: string): { events: TraceEvent[]; slices: Slice[]; tracks: Map<string, string> } {
  const { traceEvents: events, displayTimeUnit } = JSON.parse(text) as {
    traceEvents: TraceEvent[];
    displayTimeUnit: string;
  };
  assert.equal(displayTimeUnit, 'ns');
  const slices: Slice[] = [];
  const tracks = new Map<string, string>();
  const processes = new Map<number, string>();
  const open = new Map<string, (TraceEvent & { at: number })[]>();
  const last = new Map<string, number>();
  for (const event of events) {
    const { ph, pid, tid, name, ts, args } = event;
    assert.ok(Number.isInteger(pid) && Number.isInteger(tid), JSON.stringify(event));
    const track = `${pid}/${tid}`;
    if (ph === 'M') {
      assert.equal(ts, undefined);
      if (name === 'thread_name') tracks.set(track, String(args?.name));
      else if (name === 'process_name') processes.set(pid, String(args?.name));
      else assert.equal(name, 'thread_sort_index');
      continue;
    }
    assert.ok(tracks.has(track) && processes.has(pid), `an event on a track without a name: ${track}`);
    assert.ok(typeof ts === 'number' && ts >= 0, JSON.stringify(event));
    // Ticks in full: three decimals of a microsecond.
    assert.ok(Math.abs(ts * 1000 - Math.round(ts * 1000)) < 1e-3, String(ts));
    const at = Math.round(ts * 1000);
    assert.ok(at >= (last.get(track) ?? 0), `time goes back on ${tracks.get(track)}: ${JSON.stringify(event)}`);
    last.set(track, at);
    const stack = open.get(track) ?? [];
    open.set(track, stack);
    if (ph === 'B') {
      assert.ok(name !== undefined && name !== '');
      stack.push({ ...event, at });
    } else if (ph === 'E') {
      const begun = stack.pop();
      assert.ok(begun, `an end without a beginning on ${track}`);
      const { name: of = '', cat = '', at: begin, args: told = {} } = begun;
      slices.push({ name: of, category: cat, track, begin, end: at, depth: stack.length, args: told });
    } else {
      assert.equal(ph, 'i');
      assert.ok(['t', 'p', 'g'].includes(event.s ?? ''), JSON.stringify(event));
      assert.ok(name !== undefined && name !== '');
    }
  }
  for (const [track, stack] of open) assert.equal(stack.length, 0, `a slice without an end on ${track}`);
  return { events, slices, tracks };
}
