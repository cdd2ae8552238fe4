import { FeatureControl } from '../../arch/capability-msrs';
import { Cr0, Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { ApicBase } from '../../arch/msrs';
import { GETSEC_CAPABILITIES, GETSEC_LEAVES, GETSEC_PARAMETERS, SaferMode } from '../../arch/safer-mode';
import { State } from '../../memory/layout';
import { isCanonical } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { exitModule, flags, senter, sexit, wakeUp } from './launch';
import type { SaferModePlatform } from './platform';

/** GETSEC (SDM vol. 2D, chapter 7): each leaf's checks are in the order of its operation section. */

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const LOW = 0xffffffffn;

type Leaf = (cpu: Processor, platform: SaferModePlatform) => void;

const low = (cpu: Processor, register: number): number => Number(cpu.state.gpr(register) & LOW);
const has = ({ state }: Processor, flag: number): boolean => (flags(state) & flag) !== 0;
const inVmxOperation = ({ state }: Processor): boolean => state.get32(State.VMX_ON) !== 0;
const unprivileged = (cpu: Processor): boolean => cpu.realMode || cpu.cpl !== 0 || cpu.virtual8086;
const bootstrap = ({ state }: Processor): boolean => (state.get64(State.APIC_BASE) & ApicBase.BOOTSTRAP) !== 0n;

function refuseIf(cpu: Processor, ...conditions: readonly boolean[]): void {
  if (conditions.some(Boolean)) throw cpu.fault(Vector.GP, 0);
}

/** At every privilege level and in every mode; only index 0 is defined. */
const capabilities: Leaf = (cpu) => {
  cpu.state.setGpr(RAX, BigInt(low(cpu, RBX) === 0 ? GETSEC_CAPABILITIES : 0));
};

const parameters: Leaf = (cpu) => {
  const index = Math.min(low(cpu, RBX), GETSEC_PARAMETERS.length - 1);
  const [eax, ebx, ecx] = GETSEC_PARAMETERS[index] ?? [0, 0, 0];
  cpu.state.setGpr(RAX, BigInt(eax));
  cpu.state.setGpr(RBX, BigInt(ebx));
  cpu.state.setGpr(RCX, BigInt(ecx));
};

const launch: Leaf = (cpu, platform) => {
  const { state } = cpu;
  const control = state.get64(State.FEATURE_CONTROL);
  const enabled = FeatureControl.LOCK | FeatureControl.SENTER_GLOBAL;
  refuseIf(
    cpu,
    inVmxOperation(cpu),
    unprivileged(cpu),
    (state.cr0 & (Cr0.CD | Cr0.NW)) !== 0n,
    (state.cr0 & Cr0.NE) === 0n,
    !bootstrap(cpu),
    has(cpu, SaferMode.LAUNCHED | SaferMode.AUTHENTICATED_CODE),
    // No selective functions are supported (PARAMETERS, type 4): EDX must be 0.
    low(cpu, RDX) !== 0,
    (control & enabled) !== enabled,
  );
  senter(cpu, platform);
};

const exitac: Leaf = (cpu, platform) => {
  refuseIf(
    cpu,
    inVmxOperation(cpu),
    cpu.codeSize === 64 && !isCanonical(cpu.state.gpr(RBX)),
    unprivileged(cpu),
    !has(cpu, SaferMode.AUTHENTICATED_CODE),
    low(cpu, RDX) !== 0,
  );
  exitModule(cpu, platform);
};

/** What SEXIT and WAKEUP ask alike: the initiating processor, in the measured environment, no module running */
const refuseOutside = (cpu: Processor): void =>
  refuseIf(
    cpu,
    inVmxOperation(cpu),
    unprivileged(cpu),
    !bootstrap(cpu),
    !has(cpu, SaferMode.LAUNCHED),
    has(cpu, SaferMode.AUTHENTICATED_CODE),
  );

const leave: Leaf = (cpu, platform) => {
  refuseOutside(cpu);
  sexit(cpu, platform);
};

const wake: Leaf = (cpu, platform) => {
  refuseOutside(cpu);
  wakeUp(cpu, platform);
};

/** There are no SMIs here to unmask; the checks are all that is seen. */
const control: Leaf = (cpu) => {
  refuseIf(cpu, unprivileged(cpu));
  refuseIf(cpu, low(cpu, RBX) !== 0, !has(cpu, SaferMode.LAUNCHED), inVmxOperation(cpu));
};

const LEAVES: readonly (readonly [{ readonly leaf: number; readonly implemented: boolean }, Leaf])[] = [
  [GETSEC_LEAVES.CAPABILITIES, capabilities],
  [GETSEC_LEAVES.EXITAC, exitac],
  [GETSEC_LEAVES.SENTER, launch],
  [GETSEC_LEAVES.SEXIT, leave],
  [GETSEC_LEAVES.PARAMETERS, parameters],
  [GETSEC_LEAVES.SMCTRL, control],
  [GETSEC_LEAVES.WAKEUP, wake],
];

const getsec: Helper = (cpu, insn) => {
  const { saferMode } = cpu;
  if (!saferMode || (cpu.state.cr4 & Cr4.SMXE) === 0n) throw cpu.fault(Vector.UD);
  if (cpu.exits(insn)) return;
  const number = low(cpu, RAX);
  const found = LEAVES.find(([{ leaf, implemented }]) => leaf === number && implemented);
  if (!found) throw cpu.fault(Vector.UD);
  found[1](cpu, saferMode);
};

export const saferModeHelpers: HelperTable = { getsec };
