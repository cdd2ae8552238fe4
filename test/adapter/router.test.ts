import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { userError } from '../../debug-adapter/session/errors';
import { route, Router, type Route } from '../../debug-adapter/session/router';

const settle = () => new Promise<void>((done) => setImmediate(done));

async function exchange(routes: Record<string, Route>, messages: unknown[]): Promise<DebugProtocol.Response[]> {
  const sent: DebugProtocol.ProtocolMessage[] = [];
  const router = new Router(routes, (message) => sent.push(message));
  for (const message of messages) router.receive(message);
  await settle();
  return sent as DebugProtocol.Response[];
}

const request = (seq: number, command: string, args?: unknown) => ({ seq, type: 'request', command, arguments: args });

describe('router', () => {
  const routes = {
    echo: route({ text: 'string', count: 'number?' }, (args: { text: string }) => ({ text: args.text })),
    slow: route({}, async () => {
      await settle();
      return { slow: true };
    }),
    wrong: route({}, () => {
      throw userError('a {brace} stays');
    }),
    broken: route({}, () => {
      throw new TypeError('not foreseen');
    }),
    ordered: route({}, (_args, reply) => {
      reply.after(() => order.push('after'));
    }),
  };
  const order: string[] = [];

  it('answers each request once, in order, also behind a slow one', async () => {
    const answers = await exchange(routes, [request(1, 'slow'), request(2, 'echo', { text: 'a' })]);
    await settle();
    assert.deepEqual(
      answers.map(({ request_seq, success, seq }) => ({ request_seq, success, seq })),
      [
        { request_seq: 1, success: true, seq: 1 },
        { request_seq: 2, success: true, seq: 2 },
      ],
    );
  });

  it('answers errors and goes on', async () => {
    const answers = await exchange(routes, [
      request(1, 'nothing'),
      request(2, 'wrong'),
      request(3, 'broken'),
      request(4, '__proto__'),
      request(5, 'constructor'),
      request(6, 'echo', { text: 'still here' }),
    ]);
    assert.deepEqual(
      answers.map(({ success }) => success),
      [false, false, false, false, false, true],
    );
    assert.equal(answers[1]?.message, 'a {brace} stays');
    const { error } = answers[1]?.body as { error: DebugProtocol.Message };
    assert.equal(error.format, '{text}');
    assert.deepEqual(error.variables, { text: 'a {brace} stays' });
  });

  it('checks arguments before the handler sees them', async () => {
    const wrong = [undefined, {}, { text: 1 }, { text: null }, { text: 'a', count: '1' }, [], 'x', { text: ['a'] }];
    const answers = await exchange(
      routes,
      wrong.map((args, index) => request(index, 'echo', args)),
    );
    assert.equal(answers.length, wrong.length);
    for (const answer of answers) {
      assert.equal(answer.success, false);
      assert.match(answer.message ?? '', /"echo": .*(text|count|arguments)/);
    }
  });

  it('answers messages that are no requests, and passes over what needs no answer', async () => {
    const messages = [
      null,
      3,
      'x',
      [],
      {},
      { type: 'request' },
      { type: 'request', command: 'echo' },
      { type: 'event' },
    ];
    const answers = await exchange(routes, [
      ...messages,
      { type: 'response', request_seq: 1 },
      request(9, 'echo', { text: 'a' }),
    ]);
    assert.equal(answers.length, 8);
    assert.ok(answers.slice(0, 7).every(({ success }) => !success));
    assert.equal(answers[7]?.success, true);
  });

  it('runs what comes after the response after it', async () => {
    const sent: unknown[] = [];
    const router = new Router(routes, (message) => {
      sent.push(message);
      order.push('response');
    });
    router.receive(request(1, 'ordered'));
    await settle();
    assert.deepEqual(order.slice(-2), ['response', 'after']);
  });
});
