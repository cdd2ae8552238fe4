import type { Outcome } from '../../emulator/machine/api';
import { formatSymbol, linearRip } from '../stack/layers';
import type { Debuggee } from './debuggee';

/** How a run ended, in words and with the place. */
export function describeOutcome(outcome: Outcome, debuggee: Debuggee): { title: string; text: string } {
  const at = (vcpu: number) => {
    const context = debuggee.running(vcpu);
    const pc = linearRip(context);
    const symbol = formatSymbol(debuggee.layers.symbolAt(context, pc), pc);
    return `vcpu${vcpu} in ${debuggee.layers.nameOf(context)} at ${symbol}`;
  };
  switch (outcome.kind) {
    case 'exit-port':
      return outcome.code === 0
        ? { title: 'The machine ended: success', text: 'The machine ended with success.' }
        : { title: 'The machine ended: failure', text: `The machine ended with failure code ${outcome.code}.` };
    case 'reset':
      return {
        title: 'Reset',
        text: `The program reset the machine by ${outcome.cause}. The run ends here: a reset does not start it again.`,
      };
    case 'power-off':
      return { title: 'Powered off', text: 'The program turned the machine off (ACPI S5).' };
    case 'triple-fault':
      return { title: 'Triple fault', text: `Triple fault: ${at(outcome.vcpu)}: ${outcome.description}` };
    case 'halted-forever':
      return {
        title: 'Halted for ever',
        text: `Halted for ever: ${at(outcome.vcpu)}: HLT, and nothing is left that could wake ${
          debuggee.machine.vcpus.length > 1 ? 'any processor' : 'the processor'
        }.`,
      };
    case 'vmx-abort':
      return { title: 'VMX abort', text: `VMX abort ${outcome.code} (SDM vol. 3, 28.7): ${at(outcome.vcpu)}` };
    case 'unsupported':
      return {
        title: 'Not implemented by the machine',
        text: `The machine met something it does not implement: ${outcome.description}`,
      };
  }
}

/** QEMU's process status for a value written to isa-debug-exit (hw/misc/debugexit.c) */
export const qemuStatusOf = (code: number): number => ((code << 1) | 1) & 0xff;

/** How QEMU has no status: the program neither wrote the exit port nor ended the machine */
export const NO_QEMU_STATUS = 4;

/** What QEMU would end with under -no-reboot, for those who run us in its place. */
export function exitStatusOf(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'exit-port':
      return qemuStatusOf(outcome.code);
    case 'power-off':
    case 'reset':
      return 0;
    default:
      return NO_QEMU_STATUS;
  }
}

/** 0 only for success announced through the exit port, and for a machine that was turned off. */
export function exitCodeOf(outcome: Outcome): number {
  if (outcome.kind === 'exit-port') return outcome.code === 0 ? 0 : outcome.code & 0xff || 1;
  return outcome.kind === 'power-off' ? 0 : 1;
}
