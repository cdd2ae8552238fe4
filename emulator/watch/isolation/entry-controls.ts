import { CONTROL_WORDS, Primary, Secondary, type ControlWordKey } from '../../arch/controls';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { vmcsFieldSymbol } from '../../arch/vmcs-fields';
import { RAM_BASE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import { NO_VMCS, Slot } from '../../vmx/vmcs';
import type { IsolationPolicy } from './policy';

const PAGE = 4096;
const MSR_ENTRY = 16;

/** Reads fields of a region as the processor does at the entry. */
export class RegionReader {
  constructor(
    private readonly memory: MachineMemory,
    /** Host-physical */
    private readonly vmcs: number,
  ) {}

  /** The region's first word, without the bit that tells a shadow VMCS */
  get revision(): number {
    return this.memory.view.getUint32(RAM_BASE + this.vmcs, true) & 0x7fff_ffff;
  }

  /** Host-physical address of a field */
  addressOf(symbol: VmcsFieldSymbol): number {
    return this.vmcs + Slot[symbol];
  }

  get32(symbol: VmcsFieldSymbol): number {
    return this.memory.view.getUint32(RAM_BASE + this.addressOf(symbol), true);
  }

  get64(symbol: VmcsFieldSymbol): bigint {
    return this.memory.view.getBigUint64(RAM_BASE + this.addressOf(symbol), true);
  }

  word(key: ControlWordKey): number {
    const symbol = vmcsFieldSymbol(CONTROL_WORDS[key].encoding);
    if (symbol === undefined) return 0;
    const active =
      key !== 'secondary' || this.get32('PRIMARY_PROCESSOR_CONTROLS') & Primary.ACTIVATE_SECONDARY_CONTROLS;
    return active ? this.get32(symbol) : 0;
  }
}

/** A structure in memory that the processor obeys on the word of a VMCS. */
export interface Structure {
  readonly page: number;
  readonly what: string;
}

/** The VMCS itself, and what it refers to: bitmaps, MSR areas, lists. What only carries a guest's own data is left out. */
export function structuresOf(region: RegionReader, vmcs: number): Structure[] {
  const found: Structure[] = [{ page: vmcs / PAGE, what: 'VMCS' }];
  const add = (symbol: VmcsFieldSymbol, what: string, bytes = PAGE): void => {
    const address = Number(region.get64(symbol));
    for (let page = Math.floor(address / PAGE); page * PAGE < address + bytes; page++) found.push({ page, what });
  };
  const primary = region.word('primary');
  const secondary = region.word('secondary');
  if (primary & Primary.USE_IO_BITMAPS) {
    add('IO_BITMAP_A', 'I/O bitmap A');
    add('IO_BITMAP_B', 'I/O bitmap B');
  }
  if (primary & Primary.USE_MSR_BITMAPS) add('MSR_BITMAPS', 'MSR bitmap');
  if (secondary & Secondary.VMCS_SHADOWING) {
    add('VMREAD_BITMAP', 'VMREAD bitmap');
    add('VMWRITE_BITMAP', 'VMWRITE bitmap');
    if (region.get64('VMCS_LINK_POINTER') !== NO_VMCS) add('VMCS_LINK_POINTER', 'shadow VMCS');
  }
  if (secondary & Secondary.ENABLE_PML) add('PML_ADDRESS', 'page-modification log');
  if (secondary & Secondary.ENABLE_VM_FUNCTIONS && region.get64('VM_FUNCTION_CONTROLS') & 1n)
    add('EPTP_LIST_ADDRESS', 'EPTP list');
  const areas = [
    ['EXIT_MSR_STORE_COUNT', 'EXIT_MSR_STORE_ADDRESS', 'VM-exit MSR-store area'],
    ['EXIT_MSR_LOAD_COUNT', 'EXIT_MSR_LOAD_ADDRESS', 'VM-exit MSR-load area'],
    ['ENTRY_MSR_LOAD_COUNT', 'ENTRY_MSR_LOAD_ADDRESS', 'VM-entry MSR-load area'],
  ] as const;
  for (const [count, address, what] of areas)
    if (region.get32(count) !== 0) add(address, what, Math.min(region.get32(count), 512) * MSR_ENTRY);
  return found;
}

/** Controls that the policy requires and that this VMCS does not have as required, in words. */
export function controlProblems(region: RegionReader, policy: IsolationPolicy): string[] {
  const problems: string[] = [];
  for (const [bits, wanted] of [
    [policy.controls.set, true],
    [policy.controls.clear, false],
  ] as const) {
    for (const { word, symbol, mask } of bits) {
      if (((region.word(word) & mask) !== 0) === wanted) continue;
      problems.push(`control ${word}.${symbol} is ${wanted ? 0 : 1}`);
    }
  }
  return problems;
}

/** Fields of a first entry that are not as the policy requires. */
export function launchProblems(region: RegionReader, policy: IsolationPolicy): string[] {
  return policy.launch.flatMap(({ field, set, clear }) => {
    const value = region.get64(field);
    if ((value & set) === set && (value & clear) === 0n) return [];
    const rule = [
      set === 0n ? '' : `bits 0x${set.toString(16)} set`,
      clear === 0n ? '' : `bits 0x${clear.toString(16)} clear`,
    ];
    return [`${field} is 0x${value.toString(16)}, and needs ${rule.filter((word) => word !== '').join(' and ')}`];
  });
}
