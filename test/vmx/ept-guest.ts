import { enableEpt, type VmxBench } from './bench';
import { GuestBench } from './guest-code';

/** Places of the extended page tables, the page-modification log, the #VE information area, and a page to access */
export const EPT = 0x8_0000n;
export const LOG = 0x9_0000n;
export const AREA = 0x9_1000n;
export const PAGE = 0xa_0000n;
export const ALL = 7n;
const WB = 6n << 3n;

/** The entry that maps a guest-physical page */
export const pte = (at: bigint): bigint => EPT + 0x3000n + (at >> 12n) * 8n;

export const mapPage = (bench: VmxBench, at: bigint, flags: bigint, to = at): void =>
  bench.write64(pte(at), to | WB | flags);

/** A guest on an EPT that maps its memory, with every right, to itself in pages of 4 KByte. */
export function eptGuest(
  code: readonly number[],
  controls: number,
  prepare: (bench: VmxBench) => void = () => undefined,
  strict = false,
): GuestBench {
  const all = (bench: VmxBench): void => {
    enableEpt(bench, controls);
    bench.write64(EPT, (EPT + 0x1000n) | ALL);
    bench.write64(EPT + 0x1000n, (EPT + 0x2000n) | ALL);
    bench.write64(EPT + 0x2000n, (EPT + 0x3000n) | ALL);
    for (let at = 0n; at < 0x10_0000n; at += 0x1000n) mapPage(bench, at, ALL);
    bench.set('EPT_POINTER', EPT | 0x1en);
    bench.set('PML_ADDRESS', LOG);
    bench.set('VIRTUALIZATION_EXCEPTION_ADDRESS', AREA);
    for (let at = 0n; at < 64n; at += 8n) bench.write64(AREA + at, 0n);
    prepare(bench);
  };
  return new GuestBench(code, all, undefined, strict);
}

const bytes = (value: bigint, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Number((value >> BigInt(i * 8)) & 0xffn));

/** mov [address], eax; mov eax, [address]; mov rax, [64-bit address] */
export const store = (address: bigint): number[] => [0x89, 0x04, 0x25, ...bytes(address, 4)];
export const load = (address: bigint): number[] => [0x8b, 0x04, 0x25, ...bytes(address, 4)];
export const loadFar = (address: bigint): number[] => [0x48, 0xa1, ...bytes(address, 8)];
export const VMCALL = [0x0f, 0x01, 0xc1];
