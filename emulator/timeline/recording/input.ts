import type { StateReader, StateWriter } from '../../devices/device';
import type { MachineInput, WrittenRange } from '../../machine/input';

/** Input as bytes: u8 kind, then its members in their order. */
const Kind = { SERIAL: 1, MEMORY: 2, REGISTER: 3, VMCS: 4 } as const;
const PAGE = 4096;

export function writeInput(out: StateWriter, input: MachineInput): void {
  switch (input.kind) {
    case 'serial':
      out.u8(Kind.SERIAL);
      out.blob(input.bytes);
      return;
    case 'memory':
      out.u8(Kind.MEMORY);
      out.u32(input.ranges.length);
      for (const { address, bytes } of input.ranges) {
        out.f64(address);
        out.blob(bytes);
      }
      return;
    case 'register':
      out.u8(Kind.REGISTER);
      out.u8(input.vcpu);
      out.blob(new TextEncoder().encode(input.name));
      out.u64(BigInt.asUintN(64, input.value));
      return;
    case 'vmcs':
      out.u8(Kind.VMCS);
      out.u64(input.region);
      out.u32(input.encoding);
      out.u64(BigInt.asUintN(64, input.value));
  }
}

/** @throws RangeError when the bytes are no input */
export function readInput(from: StateReader): MachineInput {
  switch (from.u8()) {
    case Kind.SERIAL:
      return { kind: 'serial', bytes: from.blob() };
    case Kind.MEMORY: {
      const ranges: WrittenRange[] = [];
      for (let left = from.u32(); left > 0; left--) ranges.push(rangeOf(from.f64(), from.blob()));
      return { kind: 'memory', ranges };
    }
    case Kind.REGISTER: {
      const [vcpu, name, value] = [from.u8(), new TextDecoder().decode(from.blob()), from.u64()];
      return { kind: 'register', vcpu, name, value };
    }
    case Kind.VMCS:
      return { kind: 'vmcs', region: from.u64(), encoding: from.u32(), value: from.u64() };
    default:
      throw new RangeError('input of an unknown kind');
  }
}

/** Whether a machine with so much RAM and so many vCPUs can take it */
export function suits(input: MachineInput, ramSize: number, vcpus: number): boolean {
  if (input.kind === 'memory') return input.ranges.every(({ address, bytes }) => address + bytes.length <= ramSize);
  return input.kind !== 'register' || input.vcpu < vcpus;
}

function rangeOf(address: number, bytes: Uint8Array): WrittenRange {
  if (!Number.isSafeInteger(address) || address < 0 || (address % PAGE) + bytes.length > PAGE)
    throw new RangeError('a write to memory lies in no page');
  return { address, bytes };
}
