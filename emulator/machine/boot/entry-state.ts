import { AccessRights } from '../../arch/segments';
import { Cr0, Cr4, Efer } from '../../arch/control-registers';
import type { CpuState, SegmentRegister } from '../../cpu/state';
import { Segment, State } from '../../memory/layout';
import type { LoadedKernel } from './kernel';
import type { MemoryPlan } from './memory-plan';

const GPR_RBX = 3;
const GPR_RSP = 4;
const GPR_RDI = 7;
const PAGE = 4096;
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

const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;
const TSS_SELECTOR = 0x18;
/** What the tables of a plain ELF image contain: null, code, data */
const DESCRIPTOR_CODE32 = 0x00cf9b000000ffffn;
const DESCRIPTOR_CODE64 = 0x00af9b000000ffffn;
const DESCRIPTOR_DATA = 0x00cf93000000ffffn;

/**
 * Puts the processor at the image's entry point. All start with interrupts off and every register that is not named
 * here zero.
 * - `pvh`: 32-bit protected mode without paging, flat segments, EBX = physical address of hvm_start_info
 *   (Xen, "x86/HVM direct boot ABI"). No GDT and no stack.
 * - `elf32`: the same, with a GDT in memory, EDI = start info as well, and a 16 KiB stack.
 * - `elf64`: 64-bit mode, a GDT in memory, the first 4 GiB mapped to themselves (2 MiB pages, writable, executable),
 *   RDI = start info, RSP = top of a 16 KiB stack in low memory.
 */
export function enterKernel(
  kernel: LoadedKernel,
  startInfo: number,
  state: CpuState,
  plan: MemoryPlan,
  ram: Uint8Array,
): void {
  const long = kernel.protocol === 'elf64';
  for (let i = 0; i < 16; i++) state.setGpr(i, 0n);
  state.rip = kernel.entry;
  state.rflags = 0n;
  state.setGpr(GPR_RBX, BigInt(startInfo));
  state.cr0 = Cr0.PE | Cr0.ET;
  state.cr3 = 0n;
  state.cr4 = 0n;
  state.efer = 0n;

  const data = flat(DATA_SELECTOR, DATA32);
  for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) state.setSegment(segment, data);
  state.setSegment(Segment.CS, flat(CODE_SELECTOR, long ? CODE64 : CODE32));
  state.setSegment(Segment.LDTR, { selector: 0, access: AccessRights.UNUSABLE, limit: 0, base: 0n });
  state.setSegment(Segment.TR, {
    selector: TSS_SELECTOR,
    access: BUSY_TSS | AccessRights.PRESENT,
    limit: 0x67,
    base: 0n,
  });
  if (kernel.protocol === 'pvh') return;

  state.setGpr(GPR_RDI, BigInt(startInfo));
  state.setGpr(GPR_RSP, BigInt(plan.allocate('the boot stack', STACK_SIZE, PAGE) + STACK_SIZE));
  placeDescriptors(state, plan, ram, long);
  if (!long) return;
  state.cr3 = BigInt(placeIdentityMap(plan, ram));
  state.cr4 = Cr4.PAE;
  state.efer = Efer.LME | Efer.LMA;
  state.cr0 = Cr0.PE | Cr0.ET | Cr0.PG;
}

const flat = (selector: number, access: number): SegmentRegister => ({
  selector,
  access,
  limit: FLAT_LIMIT,
  base: 0n,
});

function placeDescriptors(state: CpuState, plan: MemoryPlan, ram: Uint8Array, long: boolean): void {
  const table = [0n, long ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32, DESCRIPTOR_DATA];
  const base = plan.allocate('the boot GDT', table.length * 8, PAGE);
  const view = viewOf(ram, base, table.length * 8);
  table.forEach((descriptor, i) => view.setBigUint64(i * 8, descriptor, true));
  state.set64(State.GDTR, BigInt(base));
  state.set32(State.GDTR + 8, table.length * 8 - 1);
}

/** @returns the physical address of the PML4 */
function placeIdentityMap(plan: MemoryPlan, ram: Uint8Array): number {
  const base = plan.allocate('the boot page tables', TABLE_PAGES * PAGE, PAGE);
  const view = viewOf(ram, base, TABLE_PAGES * PAGE);
  const set = (table: number, index: number, entry: bigint) => view.setBigUint64(table * PAGE + index * 8, entry, true);
  set(0, 0, BigInt(base + PAGE) | PRESENT_WRITABLE);
  for (let i = 0; i < 4; i++) set(1, i, BigInt(base + (2 + i) * PAGE) | PRESENT_WRITABLE);
  for (let i = 0; i < 2048; i++) set(2 + (i >> 9), i & 511, (BigInt(i) << 21n) | PRESENT_WRITABLE | LARGE);
  return base;
}

const viewOf = (ram: Uint8Array, at: number, length: number): DataView =>
  new DataView(ram.buffer, ram.byteOffset + at, length);
