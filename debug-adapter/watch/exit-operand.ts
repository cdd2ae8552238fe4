import { ExitReason } from '../../emulator/arch/exit-reasons';
import { msrName } from '../../emulator/arch/msrs';
import { gprName } from '../../emulator/arch/registers';
import { Field, vmcsField } from '../../emulator/arch/vmcs-fields';
import type { VmExitRecord } from '../../emulator/cpu/taps';
import type { Context, Machine } from '../../emulator/machine/api';
import { hex } from '../memory/reference';

/**
 * What the instruction that exited was about, where the exit qualification does not tell: it is in a register of the
 * context that was left. Two 32-bit numbers in one, so that the exit log stores it flat.
 */
interface OperandRow {
  read(left: Context, record: VmExitRecord, machine: Machine): bigint;
  words(operand: bigint): string;
}

const register = (left: Context, name: string): bigint => left.registers.read(name) ?? 0n;
const low = (value: bigint): number => Number(BigInt.asUintN(32, value));
const high = (value: bigint): number => low(value >> 32n);

const msr: OperandRow = {
  read: (left) => BigInt(low(register(left, 'rcx'))),
  words: (operand) => {
    const name = msrName(low(operand));
    return name.startsWith('MSR') ? name : `${name} (MSR ${hex(operand)})`;
  },
};

/** VMREAD and VMWRITE name the field in the register of bits 31:28 (SDM vol. 3, table 28-14). */
const vmcsAccess: OperandRow = {
  read: (left, record, machine) => {
    const information = machine.readVmcs(record.vmcs, Field.EXIT_INSTRUCTION_INFORMATION) ?? 0n;
    return BigInt(low(register(left, gprName(Number((information >> 28n) & 15n)).toLowerCase())));
  },
  words: (operand) => `field ${vmcsField(low(operand))?.name ?? 'unknown'} (${hex(operand)})`,
};

const rows: ReadonlyMap<number, OperandRow> = new Map([
  [
    ExitReason.CPUID,
    {
      read: (left) => (BigInt(low(register(left, 'rcx'))) << 32n) | BigInt(low(register(left, 'rax'))),
      words: (operand) => `leaf ${hex(BigInt(low(operand)))}, ECX ${hex(BigInt(high(operand)))}`,
    },
  ],
  [ExitReason.RDMSR, msr],
  [ExitReason.WRMSR, msr],
  [ExitReason.VMREAD, vmcsAccess],
  [ExitReason.VMWRITE, vmcsAccess],
  [ExitReason.VMCALL, { read: (left) => register(left, 'rax'), words: (operand) => `RAX ${hex(operand)}` }],
]);

/** 0 where the exit reason has no such operand. To be called at the exit, when the left context is as it was. */
export const operandOf = (record: VmExitRecord, left: Context, machine: Machine): bigint =>
  rows.get(record.reason & 0xffff)?.read(left, record, machine) ?? 0n;

/** Empty where the exit reason has no such operand. */
export const operandInWords = (reason: number, operand: bigint): string =>
  rows.get(reason & 0xffff)?.words(operand) ?? '';
