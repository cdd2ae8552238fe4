import { Cr0, Cr4 } from '../../arch/control-registers';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { effectOf, type EffectRow } from './effects';
import type { Difference, LeftState } from './left-state';
import type { IsolationPolicy } from './policy';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RSI = 6;
const RDI = 7;
const BLOCKING_BY_STI_OR_MOV_SS = 3n;
const BLOCKING_BY_NMI = 8n;
const RESUME_FLAG = 0x10000n;
const STATUS_FLAGS = 0x8d5n;
const LONGEST_INSTRUCTION = 15n;
const CS_LONG = 0x2000n;
const LOW_HALF = 0xffff_ffffn;

/** What the processor keeps there for the hypervisor rather than for the guest */
const NEVER_COMPARED: ReadonlySet<VmcsFieldSymbol> = new Set<VmcsFieldSymbol>([
  'PREEMPTION_TIMER_VALUE',
  'GUEST_INTERRUPT_STATUS',
  'PML_INDEX',
  'VMCS_LINK_POINTER',
]);

const PDPTES: readonly VmcsFieldSymbol[] = ['GUEST_PDPTE0', 'GUEST_PDPTE1', 'GUEST_PDPTE2', 'GUEST_PDPTE3'];

/** Guest-state fields that are MSRs (SDM vol. 3, 25.4.1), by the number that WRMSR has in ECX */
const MSR_FIELDS: ReadonlyMap<number, VmcsFieldSymbol> = new Map<number, VmcsFieldSymbol>([
  [0x174, 'GUEST_IA32_SYSENTER_CS'],
  [0x175, 'GUEST_IA32_SYSENTER_ESP'],
  [0x176, 'GUEST_IA32_SYSENTER_EIP'],
  [0x1d9, 'GUEST_IA32_DEBUGCTL'],
  [0x277, 'GUEST_IA32_PAT'],
  [0xc0000080, 'GUEST_IA32_EFER'],
  [0xc0000100, 'GUEST_FS_BASE'],
  [0xc0000101, 'GUEST_GS_BASE'],
]);

/** The exit by which a guest was left, and how long the instruction there is when it was decoded. */
export interface LeftBy {
  readonly reason: number;
  readonly state: LeftState;
  /** Of the instruction that made a memory access; undefined: it cannot be read */
  readonly decodedLength: () => number | undefined;
}

/** Of the differences between a guest's state at its exit and at its entry those that the exit does not explain. */
export function illegalDifferences(
  policy: IsolationPolicy,
  left: LeftBy,
  differences: readonly Difference[],
): Difference[] {
  if (differences.length === 0) return [];
  return new Judge(effectOf(policy, left.reason), left, differences).illegal();
}

class Judge {
  private readonly qualification: bigint;
  private readonly takes: Set<number>;
  private readonly fields: Set<VmcsFieldSymbol>;
  private readonly advanced: boolean;
  /** Bits of a register that may differ; undefined: all */
  private width: bigint | undefined;
  /** Values that the guest has asked for */
  private readonly asked = new Map<VmcsFieldSymbol, (value: bigint) => boolean>();

  constructor(
    private readonly effect: EffectRow,
    private readonly left: LeftBy,
    private readonly differences: readonly Difference[],
  ) {
    const { state } = left;
    this.qualification = state.field('EXIT_QUALIFICATION');
    this.takes = new Set(effect.takes);
    this.fields = new Set(effect.fields);
    this.advanced = differences.some((one) => one.field === 'GUEST_RIP' && this.isStep(one));
    this.refine();
    if (this.takes.has(RSP)) this.fields.add('GUEST_RSP');
  }

  illegal(): Difference[] {
    return this.differences.filter((one) =>
      one.field === undefined ? !this.registerMayDiffer(one) : !this.fieldMayDiffer(one.field, one),
    );
  }

  private registerMayDiffer({ register, was, is }: Difference): boolean {
    if (register === undefined || !this.takes.has(register)) return false;
    if (this.width === undefined || register !== RAX) return true;
    // A result of 32 bits clears the upper half.
    return ((was ^ is) & ~this.width) === 0n || (this.width === LOW_HALF && is <= LOW_HALF);
  }

  private fieldMayDiffer(field: VmcsFieldSymbol, difference: Difference): boolean {
    const { was, is } = difference;
    if (NEVER_COMPARED.has(field)) return true;
    switch (field) {
      case 'GUEST_RIP':
        return this.fields.has(field) || this.isStep(difference);
      case 'GUEST_ACTIVITY_STATE':
        return is === 0n;
      case 'GUEST_INTERRUPTIBILITY':
        return ((was ^ is) & ~BLOCKING_BY_NMI & ~(was & BLOCKING_BY_STI_OR_MOV_SS)) === 0n;
      case 'GUEST_PENDING_DEBUG_EXCEPTIONS':
        return is === 0n || this.advanced;
      case 'GUEST_RFLAGS':
        if (((was ^ is) & ~(this.advanced ? RESUME_FLAG : 0n)) === 0n) return true;
        return (this.fields.has(field) || this.emulated) && ((was ^ is) & ~(STATUS_FLAGS | RESUME_FLAG)) === 0n;
      default:
        return this.fields.has(field) && (this.asked.get(field)?.(is) ?? true);
    }
  }

  /** A memory access was emulated and stepped over. */
  private get emulated(): boolean {
    return this.effect.refined === 'memory' && this.advanced;
  }

  private isStep({ was, is }: Difference): boolean {
    if (!this.effect.advances) return false;
    const { state } = this.left;
    const long = (state.field('GUEST_CS_ACCESS_RIGHTS') & CS_LONG) !== 0n;
    const grown = long ? BigInt.asUintN(64, is - was) : BigInt.asUintN(32, is - was);
    if (this.effect.refined !== 'memory') return grown === state.field('EXIT_INSTRUCTION_LENGTH');
    // The length field is not defined for these exits (SDM vol. 3, 28.2.5).
    const length = this.left.decodedLength();
    return length === undefined ? grown > 0n && grown <= LONGEST_INSTRUCTION : grown === BigInt(length);
  }

  private refine(): void {
    const { state } = this.left;
    const operand = Number((this.qualification >> 8n) & 15n);
    switch (this.effect.refined) {
      case 'control register':
        return this.controlRegister(operand);
      case 'debug register':
        if (this.qualification & 16n) this.takes.add(operand);
        else if ((this.qualification & 7n) === 7n) this.fields.add('GUEST_DR7');
        return;
      case 'port':
        return this.port();
      case 'msr':
        return this.modelSpecific();
      case 'information register':
        this.takes.add(Number((state.field('EXIT_INSTRUCTION_INFORMATION') >> 3n) & 15n));
        return;
      case 'memory':
        return this.memory();
      case undefined:
    }
  }

  /** SDM vol. 3, table 28-3 */
  private controlRegister(operand: number): void {
    const { state } = this.left;
    const number = Number(this.qualification & 15n);
    const access = Number((this.qualification >> 4n) & 3n);
    if (access === 1) this.takes.add(operand);
    else if (access > 1) this.fields.add('GUEST_CR0');
    else if (number === 3) {
      const wanted = this.operandValue(operand) & ~(1n << 63n);
      this.fields.add('GUEST_CR3');
      this.asked.set('GUEST_CR3', (value) => value === wanted);
    } else if (number === 0 || number === 4) {
      const field = number === 0 ? 'GUEST_CR0' : 'GUEST_CR4';
      const owned = state.field(number === 0 ? 'CR0_GUEST_HOST_MASK' : 'CR4_GUEST_HOST_MASK');
      const fixed = number === 0 ? Cr0.NE : Cr4.VMXE;
      const wanted = this.operandValue(operand);
      this.fields.add(field);
      this.asked.set(field, (value) => ((value ^ wanted) & ~owned & ~fixed) === 0n);
      // Paging that is turned on or off takes LMA along (SDM vol. 3, 4.1.5).
      if (number === 0) this.fields.add('GUEST_IA32_EFER');
    }
    if (access === 0) for (const field of PDPTES) this.fields.add(field);
  }

  private operandValue(register: number): bigint {
    const { state } = this.left;
    return register === RSP ? state.field('GUEST_RSP') : state.register(register);
  }

  /** SDM vol. 3, table 28-5 */
  private port(): void {
    const input = (this.qualification & 8n) !== 0n;
    if (this.qualification & 16n) for (const n of [RCX, input ? RDI : RSI]) this.takes.add(n);
    else if (input) this.takes.add(RAX);
    this.width = (1n << ((this.qualification & 7n) * 8n + 8n)) - 1n;
  }

  private modelSpecific(): void {
    const { state } = this.left;
    const field = MSR_FIELDS.get(Number(state.register(RCX) & LOW_HALF));
    if (field === undefined) return;
    const wanted = ((state.register(RDX) & LOW_HALF) << 32n) | (state.register(RAX) & LOW_HALF);
    this.fields.add(field);
    // LMA is not software's to write.
    const ignored = field === 'GUEST_IA32_EFER' ? 0x400n : 0n;
    this.asked.set(field, (value) => ((value ^ wanted) & ~ignored) === 0n);
  }

  /** An emulated access has one destination; a string instruction moves its pointers and counts. */
  private memory(): void {
    if (!this.advanced) return;
    const others = this.differences.filter(
      ({ register }) => register !== undefined && ![RCX, RSI, RDI].includes(register),
    );
    for (const n of [RCX, RSI, RDI]) this.takes.add(n);
    if (others.length === 1 && others[0]?.register !== undefined) this.takes.add(others[0].register);
  }
}
