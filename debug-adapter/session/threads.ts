import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Live } from './live';

/** threads: one for each vCPU, with what it runs. */
export function threads({ debuggee }: Live): DebugProtocol.ThreadsResponse['body'] {
  return {
    threads: debuggee.machine.vcpus.map((vcpu) => {
      const context = debuggee.running(vcpu.index);
      const mode = context.root ? '' : ', VMX non-root';
      const activity = vcpu.activity === 'active' ? '' : `, ${vcpu.activity}`;
      return { id: vcpu.index + 1, name: `vcpu${vcpu.index} (${debuggee.layers.nameOf(context)}${mode}${activity})` };
    }),
  };
}
