/**
 * DWARF register numbers of the x86-64 psABI (figure 3.36) and the i386 psABI (figure 2.14), and the names and parts of
 * registers that an expression or a probe may name.
 */
export interface RegisterNumbers {
  readonly pc: number;
  readonly sp: number;
  readonly fp: number;
  /** By number; the machine's own names */
  readonly names: readonly (string | undefined)[];
}

const X86_64: RegisterNumbers = (() => {
  const names: (string | undefined)[] = ['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'];
  for (let n = 8; n < 16; n++) names[n] = `r${n}`;
  names[16] = 'rip';
  for (let n = 0; n < 16; n++) names[17 + n] = `xmm${n}`;
  names[49] = 'rflags';
  ['es', 'cs', 'ss', 'ds', 'fs', 'gs'].forEach((name, n) => (names[50 + n] = name));
  names[58] = 'fs.base';
  names[59] = 'gs.base';
  return { pc: 16, sp: 7, fp: 6, names };
})();

/** The machine names registers by their 64-bit names in every mode. */
const I386: RegisterNumbers = {
  pc: 8,
  sp: 4,
  fp: 5,
  names: ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'rip', 'rflags'],
};

export function registerNumbers(addressSize: 4 | 8): RegisterNumbers {
  return addressSize === 8 ? X86_64 : I386;
}

/** DWARF-numbered registers from a reader by name, for the innermost frame. Registers that it does not know are left out. */
export function registersByNumber(
  read: (name: string) => bigint | undefined,
  addressSize: 4 | 8 = 8,
): Map<number, bigint> {
  const values = new Map<number, bigint>();
  registerNumbers(addressSize).names.forEach((name, number) => {
    const value = name === undefined || name.startsWith('xmm') ? undefined : read(name);
    if (value !== undefined) values.set(number, BigInt.asUintN(addressSize * 8, value));
  });
  return values;
}

/** A general register or a part of one: `whole` is its 64-bit name, the part is `bits` wide from bit `shift`. */
export interface RegisterPart {
  readonly whole: string;
  readonly bits: number;
  readonly shift: number;
}

const parts = new Map<string, RegisterPart>();
for (const letter of ['a', 'b', 'c', 'd']) {
  const whole = `r${letter}x`;
  parts.set(whole, { whole, bits: 64, shift: 0 });
  parts.set(`e${letter}x`, { whole, bits: 32, shift: 0 });
  parts.set(`${letter}x`, { whole, bits: 16, shift: 0 });
  parts.set(`${letter}l`, { whole, bits: 8, shift: 0 });
  parts.set(`${letter}h`, { whole, bits: 8, shift: 8 });
}
for (const name of ['si', 'di', 'bp', 'sp']) {
  const whole = `r${name}`;
  parts.set(whole, { whole, bits: 64, shift: 0 });
  parts.set(`e${name}`, { whole, bits: 32, shift: 0 });
  parts.set(name, { whole, bits: 16, shift: 0 });
  parts.set(`${name}l`, { whole, bits: 8, shift: 0 });
}
for (let n = 8; n < 16; n++) {
  const whole = `r${n}`;
  parts.set(whole, { whole, bits: 64, shift: 0 });
  parts.set(`${whole}d`, { whole, bits: 32, shift: 0 });
  parts.set(`${whole}w`, { whole, bits: 16, shift: 0 });
  parts.set(`${whole}b`, { whole, bits: 8, shift: 0 });
}
for (const [name, whole, bits] of [
  ['rip', 'rip', 64],
  ['eip', 'rip', 32],
  ['rflags', 'rflags', 64],
  ['eflags', 'rflags', 32],
] as const) {
  parts.set(name, { whole, bits, shift: 0 });
}

/** What a name like "eax", "r8d" or "ah" stands for; undefined for other names */
export function registerPart(name: string): RegisterPart | undefined {
  return parts.get(name);
}

/** Reads a register or a part of one by any of its names, from a reader that knows whole registers. */
export function readRegister(name: string, whole: (name: string) => bigint | undefined): bigint | undefined {
  const part = parts.get(name);
  if (!part) return whole(name);
  const value = whole(part.whole);
  return value === undefined ? undefined : BigInt.asUintN(part.bits, value >> BigInt(part.shift));
}
