import { MappingFlag } from './guest-physical-cache';
import { RAM_BASE, TLB_AREA, TLB_AREA_SIZE, TLB_BANK_COUNT, TLB_ENTRIES, TlbArea } from './layout';
import type { MachineMemory } from './machine-memory';
import { ENTRY_WORDS, ROOT, TAG_WORDS, VALID } from './tlb-banks';

const FILLED = 4;
const PERMISSIONS = 7;
const PAGE_NUMBER = ~0xfff;
const GUEST_PHYSICAL_ENTRIES = 1024;
const GUEST_PHYSICAL_WORDS = 4;

/** A mapping that a processor remembers. One object for all of them: copy what you keep. */
export interface CachedMapping {
  /** From its TLB (linear or combined), or a guest-physical mapping, which serves every linear address */
  kind: 'tlb' | 'guest-physical';
  vpid: number;
  pcid: number;
  /** EPTP bits 51:12; 0 without EPT */
  eptRoot: number;
  /** Of a TLB entry: bits 31:0 and 63:32 of the linear page, as signed words */
  low: number;
  high: number;
  /** Guest-physical page number; 0 without EPT */
  guestPage: number;
  /** Host-physical page number, and what is allowed there: bits of Permission */
  hostPage: number;
  permissions: number;
}

const mapping: CachedMapping = {
  kind: 'tlb',
  vpid: 0,
  pcid: 0,
  eptRoot: 0,
  low: 0,
  high: 0,
  guestPage: 0,
  hostPage: 0,
  permissions: 0,
};

/**
 * Visits the mappings to RAM that a vCPU remembers under one EPT root: what accesses may use without a look at the tables.
 * Reads only.
 */
export function eachCachedMapping(
  memory: MachineMemory,
  vcpu: number,
  eptRoot: number,
  visit: (mapping: CachedMapping) => void,
): void {
  eachOfTlb(memory, vcpu, eptRoot, visit);
  eachGuestPhysical(memory, vcpu, eptRoot, visit);
}

function eachOfTlb(memory: MachineMemory, vcpu: number, root: number, visit: (of: CachedMapping) => void): void {
  const words = memory.i32;
  const tags = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.TAGS) >>> 2;
  const entries = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.ENTRIES) >>> 2;
  for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
    const tag = tags + bank * TAG_WORDS;
    if (words[tag + ROOT] !== (root | 0) || words[tag + FILLED] === 0) continue;
    for (let index = 0; index < TLB_ENTRIES; index++) {
      const at = entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
      const first = words[at] ?? 0;
      if ((first & VALID) === 0) continue;
      mapping.kind = 'tlb';
      mapping.vpid = (words[tag] ?? 0) & 0xffff;
      mapping.pcid = (words[tag] ?? 0) >>> 16;
      mapping.eptRoot = root;
      mapping.low = first & PAGE_NUMBER;
      mapping.high = words[at + 1] ?? 0;
      mapping.guestPage = (words[at + 2] ?? 0) >>> 0;
      mapping.hostPage = (((words[at + 3] ?? 0) >>> 0) - RAM_BASE) >>> 12;
      mapping.permissions = first & PERMISSIONS;
      visit(mapping);
    }
  }
}

function eachGuestPhysical(
  memory: MachineMemory,
  vcpu: number,
  root: number,
  visit: (of: CachedMapping) => void,
): void {
  const words = memory.i32;
  const base = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.GUEST_PHYSICAL) >>> 2;
  for (let at = base; at < base + GUEST_PHYSICAL_ENTRIES * GUEST_PHYSICAL_WORDS; at += GUEST_PHYSICAL_WORDS) {
    const flags = words[at + 3] ?? 0;
    if ((flags & MappingFlag.VALID) === 0 || words[at + 1] !== (root | 0)) continue;
    mapping.kind = 'guest-physical';
    mapping.vpid = mapping.pcid = mapping.low = mapping.high = 0;
    mapping.eptRoot = root;
    mapping.guestPage = (words[at] ?? 0) >>> 0;
    mapping.hostPage = (words[at + 2] ?? 0) >>> 0;
    mapping.permissions = flags & PERMISSIONS;
    visit(mapping);
  }
}
