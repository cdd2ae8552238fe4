import { AccessRights } from '../../arch/segments';
import { Cr0, Cr4, Efer } from '../../arch/control-registers';
import type { CpuState, SegmentRegister } from '../../cpu/state';
import { Segment, State } from '../../memory/layout';
import type { MemoryPlan } from './memory-plan';
import type { Entry } from './request';

const GPR_RAX = 0;
const GPR_RDX = 2;
const GPR_RBX = 3;
const GPR_RSP = 4;
const GPR_RDI = 7;
const PAGE = 4096;
/** Where what a plain image is given lies: low memory is for start-up code of other processors and the like. */
const OWN = 0x80000;
const STACK_SIZE = 16384;
/** Bits of a page-table entry: present, writable, and page size (2 MiB) */
const PRESENT_WRITABLE = 3n;
const LARGE = 0x80n;
/** Below 4 GiB: one PML4, one page-directory-pointer table, four page directories */
const TABLE_PAGES = 6;

const FLAT_LIMIT = 0xffffffff;
const CODE_TYPE = 0xb;
const DATA_TYPE = 3;
const BUSY_TSS = 0xb;
const COMMON = AccessRights.CODE_OR_DATA | AccessRights.PRESENT | AccessRights.GRANULARITY;
const CODE32 = CODE_TYPE | COMMON | AccessRights.DEFAULT_BIG;
const CODE64 = CODE_TYPE | COMMON | AccessRights.LONG;
const DATA32 = DATA_TYPE | COMMON | AccessRights.DEFAULT_BIG;

const CODE16 = CODE_TYPE | AccessRights.CODE_OR_DATA | AccessRights.PRESENT;
const DATA16 = DATA_TYPE | AccessRights.CODE_OR_DATA | AccessRights.PRESENT;
const DATA_SEGMENTS = [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS] as const;

const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;
const TSS_SELECTOR = 0x18;
/** What the tables of a plain ELF image contain: null, code, data */
const DESCRIPTOR_CODE32 = 0x00cf9b000000ffffn;
const DESCRIPTOR_CODE64 = 0x00af9b000000ffffn;
const DESCRIPTOR_DATA = 0x00cf93000000ffffn;

/**
 * Puts the processor at an entry point, with interrupts off.
 * - `real`: real mode, CS:IP with CS = 0 when that reaches it, all other segments 0.
 * - `flat`: 32-bit protected mode without paging, flat segments; with `stack` a GDT and a 16 KiB stack in memory.
 * - `long`: 64-bit mode, a GDT in memory, the first 4 GiB mapped to themselves (2 MiB pages, writable, executable),
 *   RSP = top of a 16 KiB stack in low memory.
 */
export function enter(entry: Entry, state: CpuState, plan: MemoryPlan, ram: Uint8Array): void {
  const long = entry.mode === 'long';
  for (let i = 0; i < 16; i++) state.setGpr(i, 0n);
  const { rax = 0, rbx = 0, rdx = 0, rdi = 0 } = entry.registers;
  for (const [number, value] of [
    [GPR_RAX, rax],
    [GPR_RBX, rbx],
    [GPR_RDX, rdx],
    [GPR_RDI, rdi],
  ] as const) {
    state.setGpr(number, BigInt(value));
  }
  state.rip = entry.address;
  state.rflags = 0n;
  state.cr3 = 0n;
  state.cr4 = 0n;
  state.efer = 0n;
  if (entry.mode === 'real') {
    enterRealMode(entry.address, state);
    return;
  }
  state.cr0 = Cr0.PE | Cr0.ET;
  const data = flat(DATA_SELECTOR, DATA32);
  for (const segment of DATA_SEGMENTS) state.setSegment(segment, data);
  state.setSegment(Segment.CS, flat(CODE_SELECTOR, long ? CODE64 : CODE32));
  state.setSegment(Segment.LDTR, { selector: 0, access: AccessRights.UNUSABLE, limit: 0, base: 0n });
  state.setSegment(Segment.TR, {
    selector: TSS_SELECTOR,
    access: BUSY_TSS | AccessRights.PRESENT,
    limit: 0x67,
    base: 0n,
  });
  if (!entry.stack) return;

  state.setGpr(GPR_RSP, BigInt(plan.allocate('the boot stack', STACK_SIZE, PAGE, OWN) + STACK_SIZE));
  placeDescriptors(state, plan, ram, long);
  if (!long) return;
  state.cr3 = BigInt(placeIdentityMap(plan, ram));
  state.cr4 = Cr4.PAE;
  state.efer = Efer.LME | Efer.LMA;
  state.cr0 = Cr0.PE | Cr0.ET | Cr0.PG;
}

/** Reset has left the descriptor tables and the shadows of the segments as real mode wants them. */
function enterRealMode(address: bigint, state: CpuState): void {
  const base = address > 0xffffn ? (address - 0xffffn + 15n) & ~15n : 0n;
  state.cr0 = Cr0.ET;
  state.rip = address - base;
  const segment = (access: number, at: bigint) => ({ selector: Number(at >> 4n), access, limit: 0xffff, base: at });
  for (const one of DATA_SEGMENTS) state.setSegment(one, segment(DATA16, 0n));
  state.setSegment(Segment.CS, segment(CODE16, base));
}

const flat = (selector: number, access: number): SegmentRegister => ({
  selector,
  access,
  limit: FLAT_LIMIT,
  base: 0n,
});

function placeDescriptors(state: CpuState, plan: MemoryPlan, ram: Uint8Array, long: boolean): void {
  const table = [0n, long ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32, DESCRIPTOR_DATA];
  const base = plan.allocate('the boot GDT', table.length * 8, PAGE, OWN);
  const view = viewOf(ram, base, table.length * 8);
  table.forEach((descriptor, i) => view.setBigUint64(i * 8, descriptor, true));
  state.set64(State.GDTR, BigInt(base));
  state.set32(State.GDTR + 8, table.length * 8 - 1);
}

/** @returns the physical address of the PML4 */
function placeIdentityMap(plan: MemoryPlan, ram: Uint8Array): number {
  const base = plan.allocate('the boot page tables', TABLE_PAGES * PAGE, PAGE, OWN);
  const view = viewOf(ram, base, TABLE_PAGES * PAGE);
  const set = (table: number, index: number, entry: bigint) => view.setBigUint64(table * PAGE + index * 8, entry, true);
  set(0, 0, BigInt(base + PAGE) | PRESENT_WRITABLE);
  for (let i = 0; i < 4; i++) set(1, i, BigInt(base + (2 + i) * PAGE) | PRESENT_WRITABLE);
  for (let i = 0; i < 2048; i++) set(2 + (i >> 9), i & 511, (BigInt(i) << 21n) | PRESENT_WRITABLE | LARGE);
  return base;
}

const viewOf = (ram: Uint8Array, at: number, length: number): DataView =>
  new DataView(ram.buffer, ram.byteOffset + at, length);
