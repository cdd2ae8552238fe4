import { i32, i64 } from '../wasm/expression';
import type { Meaning } from './context';
import { type ExitRule, row, type RowDefinition, type RowOptions } from './row';

/** Virtual-machine extensions (SDM vol. 3, "VMX Instruction Reference") and safer-mode GETSEC. */
const vmx = (
  mnemonic: string,
  notation: string,
  operands: string,
  summary: string,
  exit: ExitRule = 'VMX',
  more: Partial<RowOptions> = {},
): RowDefinition => row(mnemonic, notation, operands, summary, { helper: mnemonic.toLowerCase(), exit, ...more });

/** VMsucceed clears all six arithmetic flags (SDM vol. 3, 31.2). */
const succeed: Meaning = (x) => x.setNormalFlags({ result: i64(1), aux: i32(0) });

const vmread: Meaning = (x) => {
  if (!x.longMode) return x.helperIf(i32(1));
  x.write(0, x.f.let(x.readVmcs(x.read(1))));
  succeed(x);
};

const vmwrite: Meaning = (x) => {
  if (!x.longMode) return x.helperIf(i32(1));
  x.writeVmcs(x.read(0), x.f.let(x.read(1)));
  succeed(x);
};

const F64 = { size64: 'f64' } as const;

export const vmxRows: readonly RowDefinition[] = [
  vmx('VMCALL', 'NP 0F 01 C1', '', 'Calls the VM monitor', 'VMCALL'),
  vmx('VMLAUNCH', 'NP 0F 01 C2', '', 'Enters the guest of a clear VMCS'),
  vmx('VMRESUME', 'NP 0F 01 C3', '', 'Enters the guest of a launched VMCS'),
  vmx('VMXOFF', 'NP 0F 01 C4', '', 'Leaves VMX operation'),
  vmx('VMFUNC', 'NP 0F 01 D4', '', 'Invokes a VM function', 'VMFUNC'),
  vmx('VMPTRLD', 'NP 0F C7 /6', 'Mq', 'Makes a VMCS current'),
  vmx('VMCLEAR', '66 0F C7 /6', 'Mq', 'Writes back a VMCS and makes it clear'),
  vmx('VMXON', 'F3 0F C7 /6', 'Mq', 'Enters VMX operation'),
  vmx('VMPTRST', 'NP 0F C7 /7', 'Mq', 'Stores the current-VMCS pointer'),
  vmx('VMREAD', 'NP 0F 78 /r', 'Ey,Gy', 'Reads a VMCS field', 'VMX', { ...F64, meaning: vmread }),
  vmx('VMWRITE', 'NP 0F 79 /r', 'Gy,Ey', 'Writes a VMCS field', 'VMX', { ...F64, meaning: vmwrite }),
  vmx('INVEPT', '66 0F 38 80 /r', 'Gy,M', 'Invalidates mappings derived from EPT', 'VMX', F64),
  vmx('INVVPID', '66 0F 38 81 /r', 'Gy,M', 'Invalidates mappings by VPID', 'VMX', F64),
  vmx('GETSEC', 'NP 0F 37', '', 'Safer-mode functions', 'GETSEC'),
];
