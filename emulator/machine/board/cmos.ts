const KIB = 1024;
const MIB = KIB * KIB;
const LOW_MEMORY_KIB = 640;
const EXTENDED_LIMIT_KIB = 0xffff;
const ABOVE_16_UNIT = 64 * KIB;

/**
 * What firmware leaves in CMOS RAM about the machine. 0x10 to 0x31: PC/AT Technical Reference, "CMOS RAM Address Map";
 * 0x34 and 0x5f: QEMU (hw/i386/pc.c), which newer loaders read.
 */
export function cmosOf(ramSize: number, processors: number): ReadonlyMap<number, number> {
  const extended = Math.min(Math.max(0, ramSize / KIB - KIB), EXTENDED_LIMIT_KIB);
  const above16 = Math.min(Math.max(0, (ramSize - 16 * MIB) / ABOVE_16_UNIT), 0xffff);
  const bytes = new Map<number, number>();
  const word = (at: number, value: number) => bytes.set(at, value & 0xff).set(at + 1, value >>> 8);
  word(0x15, LOW_MEMORY_KIB);
  word(0x17, extended);
  word(0x30, extended);
  word(0x34, Math.floor(above16));
  bytes.set(0x5f, processors - 1);
  return bytes;
}
