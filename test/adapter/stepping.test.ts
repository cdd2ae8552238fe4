import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { Client } from '../golden/client';
import { elfImage } from '../machine/elf-image';

const AT = 0x10_0000;

/** 32-bit code at AT, with a stack: mov esp, STACK stands before it and is stepped over. */
const withStack = (code: readonly number[]) => [0xbc, 0, 0, 0x20, 0, ...code];
const CODE = AT + 5;

describe('stepping by instruction', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-stepping-'));
  after(() => rmSync(folder, { recursive: true }));

  /** A session that stands at the first instruction of this code. */
  async function begin(code: readonly number[], tell: (session: Session) => Promise<void>): Promise<void> {
    const program = path.join(folder, 'code.elf');
    const segments = [{ vaddr: AT, paddr: AT, bytes: withStack(code), memsz: 0x2000 }];
    writeFileSync(program, elfImage({ entry: AT, pvh: AT, bits: 32, segments }));
    const client = new Client(nodeEnvironment);
    const session = new Session(client);
    try {
      await client.request('initialize', {});
      await client.request('launch', { program, stopOnEntry: true });
      await client.request('configurationDone');
      await client.event('stopped');
      assert.equal(await session.go('stepIn'), CODE);
      await tell(session);
    } finally {
      client.dispose();
    }
  }

  class Session {
    reason = '';
    constructor(readonly client: Client) {}

    /** Sends the request, waits for the stop, and gives the offset of the instruction pointer from AT. */
    async go(command: string): Promise<number> {
      await this.client.request(command, { threadId: 1, granularity: 'instruction' });
      const event = await this.client.event('stopped');
      this.reason = (event.body as DebugProtocol.StoppedEvent['body']).reason;
      return this.pc();
    }

    async pc(): Promise<number> {
      return Number(await this.value('$rip'));
    }

    async value(expression: string): Promise<bigint> {
      const body = await this.client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', {
        expression: `${expression},x`,
      });
      return BigInt(body.result);
    }

    async breakAt(...addresses: number[]): Promise<void> {
      await this.client.request('setInstructionBreakpoints', {
        breakpoints: addresses.map((address) => ({ instructionReference: `0x${address.toString(16)}` })),
      });
    }
  }

  // call f; nop; jmp $; f: inc eax; ret
  const CALL = [0xe8, 3, 0, 0, 0, 0x90, 0xeb, 0xfe, 0x40, 0xc3];

  it('next passes a call, stepIn enters it', () =>
    begin(CALL, async (session) => {
      assert.equal(await session.go('next'), CODE + 5);
    }).then(() =>
      begin(CALL, async (session) => {
        assert.equal(await session.go('stepIn'), CODE + 8);
        assert.equal(await session.go('stepIn'), CODE + 9);
        assert.equal(await session.go('stepIn'), CODE + 5);
      }),
    ));

  it('next stops at a breakpoint inside what it passes', () =>
    begin(CALL, async (session) => {
      await session.breakAt(CODE + 9);
      assert.equal(await session.go('next'), CODE + 9);
      assert.equal(session.reason, 'instruction breakpoint');
    }));

  it('next of a recursive call waits for its own return', () =>
    // mov ecx, 3; call f; jmp $; f: dec ecx; jz 1f; call f; 1: ret
    begin(
      [0xb9, 3, 0, 0, 0, 0xe8, 2, 0, 0, 0, 0xeb, 0xfe, 0x49, 0x74, 5, 0xe8, 0xf8, 0xff, 0xff, 0xff, 0xc3],
      async (session) => {
        await session.go('next');
        await session.go('stepIn');
        await session.go('stepIn');
        assert.equal(await session.go('stepIn'), CODE + 15);
        const sp = await session.value('$rsp');
        assert.equal(await session.go('next'), CODE + 20);
        assert.equal(await session.value('$rsp'), sp);
        assert.equal(await session.value('$rcx'), 0n);
      },
    ));

  it('next does all iterations of a repeated string instruction, stepIn does one', () => {
    // mov edi, AT + 1000h; mov ecx, 1000h; rep stosb; jmp $
    const code = [0xbf, 0, 0x10, 0x10, 0, 0xb9, 0, 0x10, 0, 0, 0xf3, 0xaa, 0xeb, 0xfe];
    return begin(code, async (session) => {
      await session.go('next');
      assert.equal(await session.go('next'), CODE + 10);
      assert.equal(await session.go('stepIn'), CODE + 10);
      assert.equal(await session.value('$rcx'), 0xfffn);
      assert.equal(await session.go('next'), CODE + 12);
      assert.equal(await session.value('$rcx'), 0n);
    });
  });

  it('a step that ends at a breakpoint says so, and going on does not hit it again', () =>
    // nop; nop; nop; jmp back to the first
    begin([0x90, 0x90, 0x90, 0xeb, 0xfb], async (session) => {
      await session.breakAt(CODE + 1);
      assert.equal(await session.go('next'), CODE + 1);
      assert.equal(session.reason, 'instruction breakpoint');
      assert.equal(await session.go('next'), CODE + 2);
      assert.equal(session.reason, 'step');
      assert.equal(await session.go('continue'), CODE + 1);
      assert.equal(session.reason, 'instruction breakpoint');
    }));

  it('a jump to itself is a step that ends', () =>
    begin([0xeb, 0xfe], async (session) => {
      assert.equal(await session.go('next'), CODE);
      assert.equal(await session.go('stepIn'), CODE);
    }));

  it('registers and memory can be written while stopped, and reads agree', () =>
    begin([0x90, 0x40, 0xeb, 0xfe], async (session) => {
      const { client } = session;
      const frame = (await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 }))
        .stackFrames[0];
      const { scopes } = await client.request<DebugProtocol.ScopesResponse['body']>('scopes', { frameId: frame?.id });
      const registers = scopes.find(({ name }) => name === 'Registers')?.variablesReference;
      await client.request('setVariable', { variablesReference: registers, name: 'rax', value: '41' });
      await session.go('next');
      await session.go('next');
      assert.equal(await session.value('$rax'), 42n);
      // The instruction that comes next is replaced: mov al, 7
      const data = Buffer.from([0xb0, 7]).toString('base64');
      const address = CODE + 2;
      const memoryReference = `host-physical:0x${address.toString(16)}`;
      await client.request('writeMemory', { memoryReference, data });
      const read = await client.request<{ data: string }>('readMemory', {
        memoryReference: `0x${address.toString(16)}`,
        count: 2,
      });
      assert.equal(read.data, data);
      await session.go('next');
      assert.equal(await session.value('$rax'), 7n);
      const refused = await client.response('writeMemory', { memoryReference: 'host-physical:0xffffffffff000', data });
      assert.equal(refused.success, false);
    }));

  it('an expression assigns in the console only', () =>
    begin([0x90, 0xeb, 0xfe], async (session) => {
      await session.client.request('evaluate', { expression: '$rbx = 5', context: 'watch' });
      const before = await session.value('$rbx');
      assert.notEqual(before, 5n);
      await session.client.request('evaluate', { expression: '$rbx = 5', context: 'repl' });
      assert.equal(await session.value('$rbx'), 5n);
    }));

  it('stepOut needs a caller', () =>
    begin([0x90, 0xeb, 0xfe], async (session) => {
      const response = await session.client.response('stepOut', { threadId: 1 });
      assert.match(response.message ?? '', /no caller/);
      assert.equal(await session.go('next'), CODE + 1);
    }));
});
