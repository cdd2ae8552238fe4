import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { elfImage } from '../machine/elf-image';
import { Client } from './client';

const AT = 0x10_0000;

/** 32-bit: mov ecx, 3; 1: dec ecx; jnz 1b; mov eax, 0; mov dx, 0f4h; out dx, eax */
const CODE = [0xb9, 3, 0, 0, 0, 0x49, 0x75, 0xfd, 0xb8, 0, 0, 0, 0, 0x66, 0xba, 0xf4, 0, 0xef];

/** Every message of a session, as it is on the wire: with a hand-made image nothing in it depends on the machine. */
describe('a whole session, message by message', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-protocol-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is the same every time', async () => {
    const program = path.join(folder, 'loop.elf');
    const segments = [{ vaddr: AT, paddr: AT, bytes: CODE }];
    writeFileSync(program, elfImage({ entry: AT, pvh: AT, bits: 32, segments }));
    const lines: string[] = [];
    const client = new Client(nodeEnvironment, (direction, message) => {
      lines.push(`${direction} ${JSON.stringify(message).replaceAll(folder, 'FOLDER')}`);
    });
    const send = (command: string, args?: unknown) => client.response(command, args);
    const thread = { threadId: 1 };

    await send('initialize', { adapterID: 'undervisor', supportsMemoryEvent: true, supportsInvalidatedEvent: true });
    await send('threads');
    await send('launch', { program, stopOnEntry: true, memory: 2 });
    await send('setBreakpoints', { source: { path: '/src/loop.c' }, breakpoints: [{ line: 1 }] });
    await send('setFunctionBreakpoints', { breakpoints: [{ name: 'main' }] });
    await send('setExceptionBreakpoints', { filters: ['triple-fault', 'nonsense'] });
    await send('setInstructionBreakpoints', {
      breakpoints: [
        { instructionReference: '0x100005', hitCondition: '2' },
        { instructionReference: 'somewhere' },
        { instructionReference: '0x100000', offset: 8, hitCondition: 'often' },
      ],
    });
    await send('configurationDone');
    await client.event('stopped');
    await send('threads');
    const stack = (await send('stackTrace', thread)).body as DebugProtocol.StackTraceResponse['body'];
    const scopes = (await send('scopes', { frameId: stack.stackFrames[0]?.id }))
      .body as DebugProtocol.ScopesResponse['body'];
    const registers = scopes.scopes.find(({ name }) => name === 'Registers')?.variablesReference;
    for (const { variablesReference } of scopes.scopes) await send('variables', { variablesReference });
    await send('setVariable', { variablesReference: registers, name: 'rbx', value: '-1' });
    await send('evaluate', { expression: '$rbx', frameId: stack.stackFrames[0]?.id });
    await send('evaluate', { expression: 'nothing', context: 'hover' });
    await send('disassemble', { memoryReference: '0x100000', instructionOffset: -1, instructionCount: 8 });
    await send('stepIn', { ...thread, granularity: 'instruction' });
    await client.event('stopped');
    await send('variables', { variablesReference: registers });
    await send('continue', thread);
    await client.event('stopped');
    await send('exceptionInfo', thread);
    await send('readMemory', { memoryReference: 'host-physical:0x100000', count: 4 });
    await send('readMemory', { memoryReference: '0x1fffff', count: 4 });
    await send('writeMemory', { memoryReference: '0x110000', data: 'AQI=' });
    await send('modules');
    await send('loadedSources');
    await send('undervisor/layers');
    await send('undervisor/exits', { start: 0, count: 10 });
    await send('undervisor/pages', { start: 0, count: 10 });
    await send('undervisor/translate', { address: '0x100000' });
    await send('stepBack', thread);
    await send('setInstructionBreakpoints', { breakpoints: [] });
    await send('continue', thread);
    await client.event('terminated');
    await send('disconnect');

    const file = path.resolve('test/golden/protocol.txt');
    const told = `${lines.join('\n')}\n`;
    if (process.env.UPDATE_GOLDEN) writeFileSync(file, told);
    assert.ok(existsSync(file), `${file} is missing: run with UPDATE_GOLDEN=1 and look at what it writes`);
    assert.equal(told, readFileSync(file, 'utf8'));
  });
});
