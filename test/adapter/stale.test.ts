import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { resolveLaunch } from '../../debug-adapter/launch/description';
import { runHeadless, textOf, type HeadlessRow } from '../../debug-adapter/launch/headless';
import { load } from '../../debug-adapter/launch/load';
import { buildAssembly } from '../asm/build';
import { Client } from '../golden/client';

type Stop = DebugProtocol.StoppedEvent['body'];

/** test/asm/stale-translations.S forgets five invalidations. */
describe('strict mode in the debugger', function () {
  this.timeout(60_000);
  let program = '';
  before(async () => {
    program = await buildAssembly('stale-translations');
  });

  async function session(more: object, filters: string[]): Promise<{ client: Client; stops: Stop[]; texts: string[] }> {
    const client = new Client(nodeEnvironment);
    const [stops, texts]: [Stop[], string[]] = [[], []];
    await client.request('initialize', { adapterID: 'undervisor' });
    await client.request('launch', { program, ...more });
    await client.event('initialized');
    await client.request('setExceptionBreakpoints', { filters });
    await client.request('configurationDone');
    for (;;) {
      const event = await client.event('stopped', 'terminated');
      if (event.event === 'terminated') return { client, stops, texts };
      stops.push((event as DebugProtocol.StoppedEvent).body);
      const info = await client.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 });
      texts.push(info.description ?? '');
      await client.request('continue', { threadId: 1 });
    }
  }

  it('stops at each use, and says what is cached, what the table says, who changed it, and what is missing', async () => {
    const { client, stops, texts } = await session({ strictTranslation: true }, ['stale-translation']);
    client.dispose();
    assert.equal(stops.length, 5);
    assert.equal(stops[0]?.reason, 'exception');
    assert.match(
      stops[0].text ?? '',
      /^Stale translation: read of 0x40001000 uses host-physical 0x[0-9a-f]+; missing: INVLPG/,
    );
    assert.match(
      texts[0] ?? '',
      new RegExp(
        [
          'The read of 0x40001000 by .* used a cached translation that the tables in memory contradict\\.',
          'Cached: host-physical 0x[0-9a-f]+000, r-x \\(VPID 0, PCID 0\\)\\.',
          'Tables: host-physical 0x[0-9a-f]+000, rwx: another page\\.',
          'Changed: PTE at 0x[0-9a-f]+: 0x[0-9a-f]+23 became 0x[0-9a-f]+03, by vCPU 0 at RIP 0x[0-9a-f]+, instruction \\d+\\.',
          'Missing: INVLPG or MOV to CR3\\..*',
        ].join('\n'),
      ),
    );
    assert.match(texts[1] ?? '', /Tables: an entry is not present\./);
    assert.match(texts[3] ?? '', /Changed: PDE at /);
    assert.match(
      texts[4] ?? '',
      /The write of .*Tables: host-physical 0x[0-9a-f]+, r-x: this access is not allowed\./s,
    );
  });

  it('does not stop without the filter, nor without strict mode', async () => {
    for (const [more, filters] of [
      [{ strictTranslation: true }, []],
      [{}, ['stale-translation']],
    ] as const) {
      const { client, stops } = await session(more, [...filters]);
      client.dispose();
      assert.deepEqual(stops, []);
    }
  });

  it('is one line for each place in a headless run', async () => {
    const rows: HeadlessRow[] = [];
    const resolved = await resolveLaunch({ program, strictTranslation: true }, nodeEnvironment.files);
    const code = await runHeadless(await load(resolved, nodeEnvironment), {
      maxInstructions: Infinity,
      write: (row) => rows.push(row),
      breathe: () => Promise.resolve(),
    });
    assert.equal(code, 0);
    const lines = rows.filter((row) => row.kind === 'stale').map(textOf);
    assert.equal(lines.length, 5);
    assert.match(lines[0] ?? '', /^stale read of 0x40001000 by .*: another page; PTE at .* became .*; missing INVLPG/);
  });
});
