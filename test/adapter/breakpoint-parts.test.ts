import assert from 'node:assert/strict';
import { parseHitCondition } from '../../debug-adapter/breakpoints/hit-count';
import { parseLogMessage } from '../../debug-adapter/breakpoints/log-message';

describe('hit conditions', () => {
  it('compare the count of hits', () => {
    const hits = (text: string) => [1, 2, 3, 4, 5, 6].filter(parseHitCondition(text));
    assert.deepEqual(hits('3'), [3]);
    assert.deepEqual(hits('= 3'), [3]);
    assert.deepEqual(hits(' == 3 '), [3]);
    assert.deepEqual(hits('> 3'), [4, 5, 6]);
    assert.deepEqual(hits('>=3'), [3, 4, 5, 6]);
    assert.deepEqual(hits('<3'), [1, 2]);
    assert.deepEqual(hits('<= 3'), [1, 2, 3]);
    assert.deepEqual(hits('%2'), [2, 4, 6]);
  });

  it('are refused when they cannot be read', () => {
    for (const text of ['x', '> ', '3 4', '%0', '-1', '>> 3', '1.5']) {
      assert.throws(() => parseHitCondition(text), /is not understood/);
    }
  });
});

describe('log messages', () => {
  const log = (text: string) => parseLogMessage(text)((expression) => `<${expression}>`);

  it('evaluate what is in braces', () => {
    assert.equal(log('a {x} b {y+1}'), 'a <x> b <y+1>');
    assert.equal(log('{(struct s){1, {2}}}'), '<(struct s){1, {2}}>');
    assert.equal(log('no braces'), 'no braces');
  });

  it('take doubled and single braces as text', () => {
    assert.equal(log('{{x}} {y}'), '{x} <y>');
    assert.equal(log('open { only'), 'open { only');
    assert.equal(log('close } only'), 'close } only');
  });
});
