import assert from 'node:assert/strict';
import { RecordedRows } from '../../extension/views/model/recorded-rows';

/** An adapter that has recorded rows 1 to `total` and dropped those up to `dropped`. */
function adapter(total: number, dropped = 0) {
  const state = { total, dropped, asked: [] as number[] };
  const fetch = (start: number, count: number) => {
    if (count > 0) state.asked.push(start);
    const rows = Array.from({ length: count }, (_, index) => ({ n: start + index + 1 }));
    return Promise.resolve({ total: state.total, rows: rows.filter(({ n }) => n > state.dropped && n <= state.total) });
  };
  return { state, rows: new RecordedRows(fetch) };
}

const numbers = (rows: readonly { n: number }[]) => rows.map(({ n }) => n);

describe('recorded rows', () => {
  it('fetches only the pages that are looked at, and each full page once', async () => {
    const { state, rows } = adapter(100_000);
    assert.equal(await rows.total(), 100_000);
    assert.deepEqual(numbers(await rows.rows({ start: 99_998, end: 100_000 })), [99_999, 100_000]);
    assert.deepEqual(numbers(await rows.rows({ start: 99_950, end: 99_952 })), [99_951, 99_952]);
    assert.deepEqual(state.asked, [99_900]);
  });

  it('asks again for a page that was not full', async () => {
    const { state, rows } = adapter(3);
    assert.deepEqual(numbers(await rows.rows({ start: 0, end: 3 })), [1, 2, 3]);
    state.total = 5;
    assert.deepEqual(numbers(await rows.rows({ start: 0, end: 5 })), [1, 2, 3, 4, 5]);
  });

  it('forgets everything when the list has become shorter', async () => {
    const { state, rows } = adapter(250);
    await rows.rows({ start: 0, end: 250 });
    state.total = 120;
    assert.equal(await rows.total(), 120);
    state.asked.length = 0;
    assert.deepEqual(numbers(await rows.rows({ start: 98, end: 102 })), [99, 100, 101, 102]);
    assert.deepEqual(state.asked, [0, 100]);
  });

  it('leaves out rows that the adapter has dropped', async () => {
    const { rows } = adapter(300, 150);
    assert.deepEqual(numbers(await rows.rows({ start: 148, end: 153 })), [151, 152, 153]);
  });
});
