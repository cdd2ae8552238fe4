import { exitReasonName } from '../../emulator/arch/exit-reasons';
import type { AccessHit } from '../../emulator/machine/watchpoints';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import { formatSymbol } from '../stack/layers';

type Accessor = Pick<AccessHit, 'by' | 'detail' | 'context' | 'vcpu' | 'rip'>;

/** Who made an access: "guest at count_up+0x1c (main.c:31)". */
export function accessorInWords(hit: Accessor, debuggee: Debuggee): string {
  const who = contextInWords(hit, debuggee);
  switch (hit.by) {
    case 'instruction':
      return who;
    case 'delivery':
      return `the delivery of an interrupt or exception to ${who}`;
    case 'vm-exit':
      return `the VM exit (${exitReasonName(hit.detail)}) of ${who}`;
    case 'vm-entry':
      return `the VM entry of ${who}`;
    case 'walk':
      return `a page walk for ${who}`;
    case 'device':
      return hit.detail < 0 ? 'a device' : `DMA of device ${requesterInWords(hit.detail)}`;
    case 'debugger':
      return 'the debugger';
  }
}

/** PCI requester ID as "00:04.0" */
const requesterInWords = (id: number): string => {
  const two = (value: number) => value.toString(16).padStart(2, '0');
  return `${two(id >>> 8)}:${two((id >>> 3) & 31)}.${id & 7}`;
};

function contextInWords({ context: id, vcpu, rip }: Accessor, debuggee: Debuggee): string {
  const context = debuggee.machine.contexts.find((candidate) => candidate.id === id);
  if (!context) return `vCPU ${vcpu} at ${hex(rip)}`;
  const symbol = debuggee.layers.symbolAt(context, rip);
  const place = symbol?.place ? ` (${symbol.place.file.split('/').at(-1)}:${symbol.place.line})` : '';
  const cpu = debuggee.machine.vcpus.length > 1 ? ` on vCPU ${vcpu}` : '';
  return `${debuggee.layers.nameOf(context)} at ${formatSymbol(symbol, rip)}${place}${cpu}`;
}

/** Up to 8 bytes as a number, more as bytes */
export function bytesInWords(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
  if (bytes.length === 0) return '(not mapped)';
  if (bytes.length <= 8) return hex(BigInt(`0x${digits.reverse().join('')}`));
  return `${digits.slice(0, 32).join(' ')}${digits.length > 32 ? ' ...' : ''}`;
}

/** "0x3 -> 0x4", or "0x3 (as before)" */
export function changeInWords(before: Uint8Array, after: Uint8Array): string {
  const [from, to] = [bytesInWords(before), bytesInWords(after)];
  const same = before.length === after.length && before.every((byte, index) => byte === after[index]);
  return same ? `${to} (as before)` : `${from} -> ${to}`;
}
