import { ExitReason } from '../../arch/exit-reasons';
import { apicOffsetOfMsr, isX2ApicMsr } from '../../arch/x2apic-msrs';
import { MsrWrite } from '../../cpu/processor';
import type { VmxCore } from '../core';
import { virtualized, Virtualized } from './controls';
import { VirtualRegister } from './virtual-apic-page';
import type { VirtualInterrupts } from './virtual-interrupts';

/**
 * RDMSR and WRMSR of 800H to 8FFH with "virtualize x2APIC mode" (SDM vol. 3, 30.5), after the MSR bitmaps let them pass.
 * The mode of the local APIC does not matter.
 */
export class VirtualMsrs {
  constructor(
    private readonly core: VmxCore,
    private readonly interrupts: VirtualInterrupts,
  ) {}

  /** undefined: not treated specially */
  read(index: number): bigint | undefined {
    const on = virtualized(this.core);
    if (!(on & Virtualized.X2APIC) || !isX2ApicMsr(index)) return undefined;
    const offset = apicOffsetOfMsr(index);
    if (!(on & Virtualized.REGISTERS) && offset !== VirtualRegister.TPR) return undefined;
    return this.interrupts.page.read(offset, 8);
  }

  write(index: number, value: bigint): MsrWrite {
    const on = virtualized(this.core);
    if (!(on & Virtualized.X2APIC) || !isX2ApicMsr(index)) return MsrWrite.Ordinary;
    const { interrupts } = this;
    const { page } = interrupts;
    const offset = apicOffsetOfMsr(index);
    if (offset === VirtualRegister.TPR) {
      if (value >> 8n) return MsrWrite.Fault;
      page.write(offset, 8, value);
      interrupts.virtualizeTpr();
      return MsrWrite.Done;
    }
    if (!(on & Virtualized.DELIVERY)) return MsrWrite.Ordinary;
    if (offset === VirtualRegister.EOI) {
      if (value) return MsrWrite.Fault;
      page.write(offset, 8, 0n);
      interrupts.virtualizeEoi();
      return MsrWrite.Done;
    }
    if (offset !== VirtualRegister.SELF_IPI) return MsrWrite.Ordinary;
    if (value >> 8n) return MsrWrite.Fault;
    page.write(offset, 8, value);
    if (value & 0xf0n) interrupts.virtualizeSelfIpi(Number(value));
    else interrupts.trap(ExitReason.APIC_WRITE, offset);
    return MsrWrite.Done;
  }
}
