import type { Instruction } from '../../isa/instruction';

/**
 * Which code becomes one region: the basic blocks reached from some seeds by direct jumps and calls, within the seeds'
 * page and one neighbour, and at most MAX_INSTRUCTIONS instructions.
 */
export const MAX_INSTRUCTIONS = 600;

/** How control leaves an instruction, as far as it is known when translating. */
export type Flow =
  | { readonly kind: 'next' }
  | { readonly kind: 'jump' | 'branch' | 'call'; readonly target: bigint }
  /** Target in a register or in memory: RET, JMP r/m, CALL r/m */
  | { readonly kind: 'indirect'; readonly returns: boolean }
  /** Executed by the interpreter or a helper: the region ends before it */
  | { readonly kind: 'leave' };

export interface Block {
  readonly id: number;
  readonly rip: bigint;
  readonly instructions: readonly Instruction[];
  /** Ids of the blocks of the region that control may reach directly */
  readonly successors: readonly number[];
  /** Where control goes on after the last instruction when it does not jump; undefined after a jump */
  readonly fallThrough: bigint | undefined;
  /** The last instruction is left to the interpreter: the block ends before it, at this address */
  readonly leavesAt: bigint | undefined;
}

export interface BlockGraph {
  readonly blocks: readonly Block[];
  readonly byRip: ReadonlyMap<bigint, number>;
  /** Blocks at which the region may be entered from outside: seeds, returns of calls, continuations after `leave` */
  readonly entries: readonly number[];
  /** Linear addresses of the pages that the region was decoded from */
  readonly pages: readonly bigint[];
  readonly instructionCount: number;
}

interface Source {
  /** Decodes at a linear address; undefined when it cannot be fetched without a fault or a breakpoint lies there */
  decode(rip: bigint): Instruction | undefined;
  flow(instruction: Instruction): Flow;
  /** Code of this page can be fetched without any effect: the TLB holds it */
  isAvailable(page: bigint): boolean;
}

const PAGE = 0x1000n;

const pageOf = (rip: bigint): bigint => rip & ~0xfffn;
const after = (instruction: Instruction): bigint => BigInt.asUintN(64, instruction.rip + BigInt(instruction.length));

export function discoverBlocks(seeds: readonly bigint[], source: Source): BlockGraph {
  const code = new Map<bigint, { instruction: Instruction; flow: Flow }>();
  const leaders = new Set<bigint>();
  const entries = new Set<bigint>();
  const home = pageOf(seeds[0]!);
  const pages = new Set([home]);
  const work: bigint[] = [];

  const pageFits = (rip: bigint): boolean => {
    const page = pageOf(rip);
    if (pages.has(page)) return true;
    const neighbour = page === home + PAGE || page === home - PAGE;
    if (pages.size > 1 || !neighbour || !source.isAvailable(page)) return false;
    pages.add(page);
    return true;
  };
  const lead = (rip: bigint, entry: boolean): void => {
    leaders.add(rip);
    if (entry) entries.add(rip);
    work.push(rip);
  };

  for (const seed of seeds) lead(seed, true);
  for (let rip = work.shift(); rip !== undefined; rip = work.shift()) {
    for (;;) {
      if (code.has(rip) || code.size >= MAX_INSTRUCTIONS || !pageFits(rip)) break;
      const instruction = source.decode(rip);
      if (!instruction || !pageFits(rip + BigInt(instruction.length - 1))) break;
      const flow = source.flow(instruction);
      code.set(rip, { instruction, flow });
      const next = after(instruction);
      if (flow.kind === 'branch') {
        lead(next, false);
        lead(flow.target, false);
      } else if (flow.kind === 'jump') {
        lead(flow.target, false);
      } else if (flow.kind === 'call') {
        lead(next, true);
        lead(flow.target, false);
      } else if (flow.kind === 'indirect') {
        if (!flow.returns) lead(next, true);
      } else if (flow.kind === 'leave') {
        lead(next, true);
      }
      if (flow.kind !== 'next') break;
      rip = next;
    }
  }

  return assemble(code, leaders, entries, pages);
}

function assemble(
  code: ReadonlyMap<bigint, { instruction: Instruction; flow: Flow }>,
  leaders: ReadonlySet<bigint>,
  entries: ReadonlySet<bigint>,
  pages: ReadonlySet<bigint>,
): BlockGraph {
  const starts = [...leaders].filter((rip) => code.has(rip)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const byRip = new Map(starts.map((rip, id) => [rip, id]));
  let instructionCount = 0;
  const blocks = starts.map((start, id): Block => {
    const instructions: Instruction[] = [];
    let leavesAt: bigint | undefined;
    let fallThrough: bigint | undefined;
    const reached: bigint[] = [];
    for (let rip = start; ;) {
      const found = code.get(rip);
      if (!found || (rip !== start && leaders.has(rip))) {
        fallThrough = rip;
        reached.push(rip);
        break;
      }
      if (found.flow.kind === 'leave') {
        leavesAt = rip;
        break;
      }
      instructions.push(found.instruction);
      rip = after(found.instruction);
      if (found.flow.kind === 'next') continue;
      if (found.flow.kind !== 'indirect') reached.push(found.flow.target);
      if (found.flow.kind === 'branch') {
        fallThrough = rip;
        reached.push(rip);
      }
      break;
    }
    instructionCount += instructions.length;
    const successors = [...new Set(reached.map((rip) => byRip.get(rip)).filter((target) => target !== undefined))];
    return { id, rip: start, instructions, successors, fallThrough, leavesAt };
  });
  return {
    blocks,
    byRip,
    entries: [...entries].map((rip) => byRip.get(rip)).filter((id) => id !== undefined),
    pages: [...pages],
    instructionCount,
  };
}
