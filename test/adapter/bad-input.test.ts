import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { Client } from '../golden/client';
import { elfImage } from '../machine/elf-image';

const AT = 0x10_0000;
/** mov al, 0; out 0xf4, al would end; this stays: jmp $ */
const FOREVER = [0xeb, 0xfe];
/** lidt of an empty table, then ud2: nothing can deliver #UD, so the processor shuts down (SDM vol. 3, 6.15) */
const TRIPLE_FAULT = [0x0f, 0x01, 0x1d, 0x10, 0x00, 0x10, 0x00, 0x0f, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const image = (code: readonly number[], options: object = {}) =>
  elfImage({ entry: AT, pvh: AT, bits: 32, segments: [{ vaddr: AT, paddr: AT, bytes: code }], ...options });

describe('bad input leaves a clear message and a live adapter', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-bad-input-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, bytes: Uint8Array | string) => {
    const place = path.join(folder, name);
    writeFileSync(place, bytes);
    return place;
  };
  const good = () => file('good.elf', image(FOREVER));

  /** Launches wrongly, compares the message, then shows that the same session still launches and stops. */
  async function refuses(args: Record<string, unknown>, message: RegExp): Promise<void> {
    const client = new Client(nodeEnvironment);
    try {
      await client.request('initialize', {});
      const response = await client.response('launch', args);
      assert.equal(response.success, false);
      assert.match(response.message ?? '', message);
      const { error } = response.body as { error: DebugProtocol.Message };
      assert.equal(error.showUser, true);
      assert.notEqual(error.id, 3000, 'not an error that nobody foresaw');
      await client.request('launch', { program: good(), stopOnEntry: true });
      await client.request('configurationDone');
      await client.event('stopped');
    } finally {
      client.dispose();
    }
  }

  it('missing image', () => refuses({ program: path.join(folder, 'none.elf') }, /none\.elf: there is no such file/));

  it('missing module', () =>
    refuses({ program: good(), modules: [{ file: 'gone.elf' }] }, /gone\.elf: there is no such file/));

  it('missing image of a described stack: names the command that makes it', () => {
    file('undervisor.json', JSON.stringify({ program: 'build/x.elf', build: 'make images' }));
    return refuses({ program: folder }, /build\/x\.elf: there is no such file\. It is made by: make images/);
  });

  it('ELF of another architecture', () =>
    refuses({ program: file('arm.elf', image(FOREVER, { machine: 183, bits: 64 })) }, /arm\.elf.*AArch64.*x86/));

  it('no ELF at all', () => refuses({ program: file('text.elf', 'hello, I am no image') }, /text\.elf.*no ELF/));

  it('truncated ELF, wherever it is cut', async () => {
    const whole = image(FOREVER);
    for (const length of [0, 3, 20, 60, 100, whole.length - 25]) {
      await refuses({ program: file('cut.elf', whole.subarray(0, length)) }, /cut\.elf/);
    }
  });

  it('overlapping load addresses', () =>
    refuses(
      {
        program: file(
          'overlap.elf',
          image(FOREVER, {
            segments: [
              { vaddr: AT, paddr: AT, bytes: FOREVER, memsz: 0x2000 },
              { vaddr: 0x20_0000, paddr: AT + 0x1000, bytes: FOREVER },
            ],
          }),
        ),
      },
      /overlap\.elf.*overlap.*0x100000-0x101fff.*0x101000/,
    ));

  it('an image outside RAM', () =>
    refuses(
      {
        program: file('high.elf', image(FOREVER, { segments: [{ vaddr: AT, paddr: 0x4000_0000, bytes: FOREVER }] })),
        memory: 16,
      },
      /high\.elf/,
    ));

  it('unknown launch attribute', () =>
    refuses({ program: good(), memmory: 64 }, /unknown attribute "memmory".*Did you mean "memory"/));

  it('image without DWARF: stepped, disassembled and stopped by instruction', async () => {
    const client = new Client(nodeEnvironment);
    try {
      await client.request('initialize', {});
      // inc ecx; inc edx; jmp back
      const program = file('plain.elf', image([0x41, 0x42, 0xeb, 0xfc]));
      await client.request('launch', { program, stopOnEntry: true });
      await client.request('configurationDone');
      await client.event('stopped');
      const said = client.events.find(
        ({ event, body }) => event === 'output' && /no DWARF/.test((body as { output: string }).output),
      );
      assert.ok(said, 'the console says that there is no DWARF');
      const top = async () => {
        const body = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
        return body.stackFrames[0];
      };
      assert.match((await top())?.instructionPointerReference ?? '', /:0x100000$/);
      for (const command of ['next', 'stepIn']) {
        await client.request(command, { threadId: 1 });
        await client.event('stopped');
      }
      assert.match((await top())?.instructionPointerReference ?? '', /:0x100002$/);
      const set = await client.request<DebugProtocol.SetInstructionBreakpointsResponse['body']>(
        'setInstructionBreakpoints',
        { breakpoints: [{ instructionReference: (await top())?.instructionPointerReference, offset: -1 }] },
      );
      assert.equal(set.breakpoints[0]?.verified, true);
      await client.request('continue', { threadId: 1 });
      const event = await client.event('stopped');
      assert.equal((event.body as DebugProtocol.StoppedEvent['body']).reason, 'instruction breakpoint');
      assert.match((await top())?.instructionPointerReference ?? '', /:0x100001$/);
      const rows = await client.request<NonNullable<DebugProtocol.DisassembleResponse['body']>>('disassemble', {
        memoryReference: '0x100000',
        instructionCount: 3,
      });
      assert.deepEqual(
        rows.instructions.map(({ address, instructionBytes }) => [address, instructionBytes]),
        [
          ['0x100000', '41'],
          ['0x100001', '42'],
          ['0x100002', 'eb fc'],
        ],
      );
    } finally {
      client.dispose();
    }
  });

  it('guest triple fault: a stop that explains, then the end', async () => {
    const client = new Client(nodeEnvironment);
    try {
      await client.request('initialize', {});
      await client.request('launch', { program: file('fault.elf', image(TRIPLE_FAULT)) });
      await client.request('setExceptionBreakpoints', { filters: ['triple-fault'] });
      await client.request('configurationDone');
      const event = await client.event('stopped', 'terminated');
      assert.equal(event.event, 'stopped');
      const info = await client.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 });
      assert.equal(info.exceptionId, 'triple-fault');
      assert.match(info.description ?? '', /Triple fault: vcpu0.*IDT/);
      const body = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
      assert.match(body.stackFrames[0]?.instructionPointerReference ?? '', /:0x100007$/);
      await client.request('continue', { threadId: 1 });
      assert.equal(((await client.event('exited')).body as { exitCode: number }).exitCode, 1);
      await client.event('terminated');
      await client.request('restart', {});
      await client.event('stopped');
    } finally {
      client.dispose();
    }
  });

  it('pause reaches a machine that runs for ever', async () => {
    const client = new Client(nodeEnvironment);
    try {
      await client.request('initialize', {});
      await client.request('launch', { program: good() });
      await client.request('configurationDone');
      await client.request('threads');
      const refused = await client.response('stackTrace', { threadId: 1 });
      assert.match(refused.message ?? '', /needs a stopped machine/);
      await client.request('pause', { threadId: 1 });
      const event = await client.event('stopped');
      assert.equal((event.body as DebugProtocol.StoppedEvent['body']).reason, 'pause');
    } finally {
      client.dispose();
    }
  });
});
