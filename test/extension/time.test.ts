import assert from 'node:assert/strict';
import { bookmarkChoice, momentText, parseGoTo } from '../../extension/session/time-text';
import { ExitsModel } from '../../extension/views/exits/model';
import type { ExitRow } from '../../debug-adapter/protocol/requests';

const now = {
  exits: 0,
  pages: 0,
  instructions: 1200,
  recording: true,
  moment: 1234,
  first: 0,
  end: 1234,
  past: false,
  branch: 0,
};

describe('time in VS Code', () => {
  it('says in the status bar where the machine stands, and when that is the past', () => {
    assert.equal(momentText(now).text, '$(history) 1,234');
    assert.match(momentText(now).tooltip, /Moment 1,234 of 1,234, after 1,200 instructions\.\n.*back to power-on/);
    const past = momentText({ ...now, end: 9999, past: true, branch: 2, first: 1000 });
    assert.deepEqual([past.text, past.past], ['$(history) Past: 1,234 of 9,999, branch 2', true]);
    assert.match(past.tooltip, /back to moment 1,000\.\nThe past was changed 2 times: branch 2/);
  });

  it('reads where to go', () => {
    assert.deepEqual(parseGoTo('12345'), { instruction: 12345 });
    assert.deepEqual(parseGoTo(' 1,234,567 '), { instruction: 1234567 });
    assert.deepEqual(parseGoTo('m77'), { moment: 77 });
    assert.deepEqual(parseGoTo('Moment 1_000'), { moment: 1000 });
    for (const wrong of ['', 'm', 'x1', '1.5', '-1', '0x10', '99999999999999999999'])
      assert.equal(parseGoTo(wrong), undefined, wrong);
  });

  it('lists bookmarks with their place', () => {
    const row = { name: 'here', moment: 5, instruction: 5000, vcpu: 0, place: 'guest at main', ahead: true };
    assert.deepEqual(bookmarkChoice(row), {
      label: 'here',
      description: 'guest at main  (ahead)',
      detail: '5,000 instructions since power-on',
    });
  });

  it('marks exits that are ahead, and gives each row where it can go to', async () => {
    const rows = [1, 2, 3].map((n): ExitRow => ({
      n,
      event: n - 1,
      moment: n * 100,
      instruction: n,
      vcpu: 0,
      layer: 'guest',
      reason: 10,
      name: 'CPUID',
      rip: '0x1',
      symbol: 'f',
      qualification: '',
    }));
    let moment = 200;
    const model = new ExitsModel(
      () => Promise.resolve({ total: 3, rows }),
      undefined,
      () => moment,
    );
    const shown = async () => (await model.nodes()).map(({ description, goTo }) => [description?.split(' ')[0], goTo]);
    assert.deepEqual(await shown(), [
      ['ahead', { event: 2 }],
      ['guest', { event: 1 }],
      ['guest', { event: 0 }],
    ]);
    moment = 100;
    assert.deepEqual(
      (await shown()).map(([first]) => first),
      ['ahead', 'ahead', 'guest'],
    );
  });
});
