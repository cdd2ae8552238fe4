import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import type { SourceMap } from '../launch/source-map';
import { silentError } from '../session/errors';
import { formatSymbol } from '../stack/layers';
import { formatInstruction } from '../../emulator/isa/disassemble';
import { targetOf } from './access';
import { hex } from './reference';

const LONGEST_INSTRUCTION = 15;
const MOST_ROWS = 10_000;

interface Row {
  readonly address: bigint;
  readonly length: number;
  readonly text: string | undefined;
}

/**
 * disassemble: exactly `instructionCount` rows from `instructionOffset` instructions before or after the address. Going
 * backwards x86 code cannot be read uniquely: decoding starts at a symbol before the address, from which instructions
 * are known to begin. Bytes that are no instruction or no memory are rows of one byte, marked invalid.
 */
export function disassemble(
  args: DebugProtocol.DisassembleArguments,
  debuggee: Debuggee,
  sources: SourceMap,
  fallback: Context,
): DebugProtocol.DisassembleResponse['body'] {
  const count = Math.trunc(args.instructionCount);
  if (count < 0 || count > MOST_ROWS) throw silentError(`instructionCount must be from 0 to ${MOST_ROWS}`);
  const { reference, context } = targetOf(args.memoryReference, debuggee.machine, fallback);
  if (reference.kind !== 'linear') throw silentError('instructions are shown at linear addresses');
  const base = BigInt.asUintN(64, reference.address + BigInt(Math.trunc(args.offset ?? 0)));
  const skip = Math.trunc(args.instructionOffset ?? 0);
  if (Math.abs(skip) > MOST_ROWS) throw silentError(`instructionOffset must be within ${MOST_ROWS}`);

  const reader = new InstructionReader(debuggee, context);
  const before = skip < 0 ? reader.before(base, -skip) : [];
  const rows = before.slice(0, count);
  for (let at = base, index = 0; rows.length < count; index++) {
    const row = reader.at(at);
    if (index >= skip) rows.push(row);
    at = BigInt.asUintN(64, at + BigInt(row.length));
  }
  return { instructions: describe(rows, debuggee, sources, context) };
}

class InstructionReader {
  constructor(
    private readonly debuggee: Debuggee,
    private readonly context: Context,
  ) {}

  at(address: bigint): Row {
    const instruction = this.debuggee.machine.decode(this.context.space, address);
    if (!instruction) return { address, length: 1, text: undefined };
    const symbol = (target: bigint) => {
      const found = this.debuggee.layers.symbolAt(this.context, target);
      return found && formatSymbol(found, target);
    };
    return { address, length: instruction.length, text: formatInstruction(instruction, symbol) };
  }

  /** Exactly `count` rows that end at `address`. */
  before(address: bigint, count: number): Row[] {
    let rows: Row[] = [];
    for (let end = address; rows.length < count;) {
      const block = this.blockBefore(end, count - rows.length);
      const first = block[0];
      if (!first) break;
      rows = [...block, ...rows];
      end = first.address;
    }
    rows = rows.slice(-count);
    // Below address 0 there is nothing: the missing rows are invalid ones.
    while (rows.length < count) {
      const end = rows[0]?.address ?? address;
      rows.unshift({ address: BigInt.asUintN(64, end - 1n), length: 1, text: undefined });
    }
    return rows;
  }

  /** Rows from the last symbol before `end`, or from far enough that decoding has fallen into step. */
  private blockBefore(end: bigint, count: number): Row[] {
    if (end === 0n) return [];
    const symbol = this.debuggee.layers.symbolAt(this.context, end - 1n);
    const furthest = end - BigInt(count * LONGEST_INSTRUCTION + 64);
    let start = symbol?.address ?? furthest;
    // Data far from its symbol, or a huge function: x86 code falls into step within a few instructions.
    if (start < end - 0x10000n) start = furthest;
    if (start < 0n) start = 0n;
    const rows: Row[] = [];
    for (let at = start; at < end;) {
      let row = this.at(at);
      // An instruction that runs over `end` is not how the processor reads it.
      if (at + BigInt(row.length) > end) row = { address: at, length: 1, text: undefined };
      rows.push(row);
      at += BigInt(row.length);
    }
    return rows;
  }
}

function describe(
  rows: readonly Row[],
  debuggee: Debuggee,
  sources: SourceMap,
  context: Context,
): DebugProtocol.DisassembledInstruction[] {
  const { machine, layers } = debuggee;
  let lastFile: string | undefined;
  let lastLine = 0;
  return rows.map((row) => {
    const bytes = machine.readMemory(context.space, row.address, row.length);
    const symbol = layers.symbolAt(context, row.address);
    const line = symbol?.place;
    const newLine = line && (line.file !== lastFile || line.line !== lastLine);
    const newFile = line && line.file !== lastFile;
    lastFile = line?.file;
    lastLine = line?.line ?? 0;
    return {
      address: hex(row.address),
      instruction: row.text ?? (bytes.length === 0 ? '??' : '(bad)'),
      instructionBytes: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' '),
      ...(row.text === undefined ? { presentationHint: 'invalid' as const } : {}),
      ...(symbol && symbol.offset === 0n ? { symbol: symbol.name } : {}),
      ...(newFile ? { location: sources.source(line.file) } : {}),
      ...(newLine ? { line: line.line } : {}),
    };
  });
}
