import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { route, Router, urgent } from '../../debug-adapter/session/router';
import { TaskRunner, type TaskOptions } from '../../debug-adapter/time/task-runner';
import type { Task } from '../../emulator/timeline/api';

const settle = () => new Promise<void>((done) => setImmediate(done));

/** A place in time and nothing else. */
class Clockwork {
  now = 100;
  *seek(moment: number): Task<void> {
    yield 0;
    this.now = moment;
  }
}

function begin(wanted = true) {
  const clockwork = new Clockwork();
  const told: string[] = [];
  const events: { event: string; body: Record<string, unknown> }[] = [];
  const tasks = new TaskRunner(clockwork, {
    events: {
      get wanted() {
        return wanted;
      },
      emit: (event, body) => events.push({ event, body: body as Record<string, unknown> }),
    },
    keep: () => (moved) => told.push(moved ? 'moved' : 'as it was'),
  });
  function* walk(to: number, failure?: Error): Task<string> {
    // As long as it takes until the client is told.
    for (const before = events.length; clockwork.now !== to || (wanted && events.length === before); yield 0.5) {
      clockwork.now = to;
    }
    if (failure) throw failure;
    return `at ${clockwork.now}`;
  }
  function* forEver(): Task<never> {
    for (;;) {
      clockwork.now = 1;
      yield 0;
    }
  }
  const run = (task: Task<string>, options: Partial<TaskOptions> = {}) =>
    tasks.run(task, { title: 'Walk', ...options });
  return { clockwork, told, events, tasks, walk, forEver, run };
}

describe('tasks', () => {
  it('bring the machine back after a question, and leave it where a movement went', async () => {
    const { clockwork, told, walk, run, events } = begin();
    assert.equal(await run(walk(7), { requestId: 3 }), 'at 7');
    assert.equal(clockwork.now, 100);
    assert.equal(await run(walk(7), { stay: true }), 'at 7');
    assert.equal(clockwork.now, 7);
    assert.deepEqual(told, ['as it was', 'moved']);
    const [start] = events;
    assert.deepEqual([start?.event, start?.body.title, start?.body.requestId], ['progressStart', 'Walk', 3]);
    assert.equal(events.filter(({ event }) => event === 'progressEnd').length, 2);
  });

  it('say nothing to a client without progress', async () => {
    const { walk, run, events } = begin(false);
    await run(walk(7));
    assert.deepEqual(events, []);
  });

  it('are cancelled by request, by progress and without a name, and then nothing has moved', async () => {
    for (const by of ['request', 'progress', 'pause']) {
      const { clockwork, tasks, forEver, run, events } = begin();
      const done = run(forEver(), { requestId: 5, stay: true });
      while (!events[0]) await settle();
      assert.equal(tasks.cancel({ requestId: 6 }), false);
      const progressId = String(events[0].body.progressId);
      assert.ok(tasks.cancel(by === 'request' ? { requestId: 5 } : by === 'progress' ? { progressId } : {}));
      await assert.rejects(done, /cancelled/);
      assert.equal(clockwork.now, 100);
      assert.equal(tasks.running, false);
      assert.equal(events.at(-1)?.event, 'progressEnd');
    }
  });

  it('that fail leave the machine where it was', async () => {
    const { clockwork, walk, run, told } = begin();
    await assert.rejects(run(walk(7, new Error('broken')), { stay: true }), /broken/);
    assert.equal(clockwork.now, 100);
    assert.deepEqual(told, ['as it was']);
  });

  it('end without another word when the session does', async () => {
    const { clockwork, tasks, forEver, run, told } = begin();
    const done = run(forEver());
    tasks.abandon();
    await assert.rejects(done, /cancelled/);
    assert.equal(clockwork.now, 1);
    assert.deepEqual(told, []);
  });

  it('keep requests waiting, but not those that end them', async () => {
    const answers: string[] = [];
    let finish = (): void => undefined;
    let lasting = false;
    const router: Router = new Router(
      {
        move: route({}, (_args, reply) => {
          lasting = true;
          reply.after(() => new Promise<void>((resolve) => (finish = resolve)).then(() => (lasting = false)));
        }),
        look: route({}, () => undefined),
        stop: urgent(
          route({ requestId: 'number?' }, ({ requestId }: { requestId?: number }) => {
            if (requestId === undefined) finish();
            else router.withdraw(requestId);
          }),
        ),
      },
      (message) => {
        const { command, success, message: text } = message as DebugProtocol.Response;
        answers.push(`${command}${success ? '' : `: ${text}`}`);
      },
      () => lasting,
    );
    const send = (seq: number, command: string, args = {}) =>
      router.receive({ seq, type: 'request', command, arguments: args });
    send(1, 'move');
    send(2, 'look');
    send(3, 'look');
    await settle();
    assert.deepEqual(answers, ['move']);
    send(4, 'stop', { requestId: 2 });
    await settle();
    assert.deepEqual(answers, ['move', 'look: cancelled', 'stop']);
    send(5, 'stop');
    await settle();
    assert.deepEqual(answers, ['move', 'look: cancelled', 'stop', 'stop', 'look']);
  });
});
